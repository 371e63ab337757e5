--#include clock changes
-- Reads the next changes in groups, for the node that asks first; the others get none while it goes on asking.
--
-- KEYS: 1 changes, 2 change_log, 3 absent
-- ARGV: 1 the node, 2 the number of the last change that it has seen to, 3 how long a client may be gone that comes
--       back, ms; 4 how long no other node may ask, ms; 5 how many changes at most
-- Returns the entries of change_log
-- Atomic because: of two nodes that ask at once, one must get nothing; and a client that comes back must be found
--       absent, or gone.
local changes, now = changes_at(1), redis_now()
local known = redis.call("HMGET", changes.state, "holder", "until", "number")
if known[1] and known[1] ~= ARGV[1] and tonumber(known[2]) > now then
    return {}
end
redis.call("HSET", changes.state, "holder", ARGV[1], "until", now + tonumber(ARGV[4]), "grace", ARGV[3])
if tonumber(ARGV[2]) <= tonumber(known[3] or "0") then -- else this Redis has lost what that number was given to
    redis.call("ZREMRANGEBYSCORE", changes.log, "-inf", ARGV[2])
end
for _, entry in ipairs(redis.call("ZRANGEBYSCORE", changes.absent, "-inf", now, "LIMIT", 0, ARGV[5])) do
    local group_end = string.find(entry, "\0", 1, true)
    redis.call("ZREM", changes.absent, entry)
    note(changes, "left", string.sub(entry, 1, group_end - 1), string.sub(entry, group_end + 1))
end
return redis.call("ZRANGE", changes.log, 0, ARGV[5] - 1)
