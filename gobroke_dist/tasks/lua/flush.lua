--#include bell
-- Drops what waits on a queue. What runs is left to finish, and dead letters are kept.
--
-- KEYS: 1 ready, 2 messages, 3 delayed_messages, 4 delayed_ready, 5 heads, 6 keys, 7 fences, 8 deliveries, 9 later,
--       10 bell, then the lanes of the ordering keys in ARGV
-- ARGV: every ordering key that was taken a moment ago
-- Returns 1; 0: another key was taken meanwhile, ask again with the new list.
-- Atomic because: a message that is accepted meanwhile must be dropped as a whole or kept as a whole.
local lanes = {}
for i, key in ipairs(ARGV) do
    lanes[key] = KEYS[10 + i]
end
local taken = redis.call("HGETALL", KEYS[5])
for i = 1, #taken, 2 do
    if not lanes[taken[i]] then
        return 0
    end
end
for i = 1, #taken, 2 do
    redis.call("DEL", lanes[taken[i]])
    if redis.call("HEXISTS", KEYS[7], taken[i + 1]) == 0 then
        redis.call("HDEL", KEYS[5], taken[i])
        redis.call("HDEL", KEYS[6], taken[i + 1])
    end
end
for _, id in ipairs(redis.call("HKEYS", KEYS[2])) do
    if redis.call("HEXISTS", KEYS[7], id) == 0 then
        redis.call("HDEL", KEYS[2], id)
        redis.call("HDEL", KEYS[8], id, id .. ":r")
    end
end
for _, id in ipairs(redis.call("HKEYS", KEYS[3])) do
    redis.call("HDEL", KEYS[8], id, id .. ":r")
end
redis.call("DEL", KEYS[1], KEYS[3], KEYS[4], KEYS[9], KEYS[10])
return 1
