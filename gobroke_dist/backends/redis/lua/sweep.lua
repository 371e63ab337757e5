--#include clock whereabouts
-- Removes some clients of a dead member, and the member itself with the last of them. Those that may come back are away.
--
-- KEYS: 1-5 the clients' places, 6 last_messages, 7 node_clients of the dead member, 8 member_info, 9 retired
-- ARGV: 1 the dead member's node, 2 what each of its registrations starts with, 3 how many clients to look at, at most,
--       4 for how long a client may come back, ms
-- Returns 1 if some may be left, 0 if there is nothing more to do
-- Atomic because: the member may come back, and a client may move, between looking and removing. Several members may
--       sweep the same one at once.
local places, now = places_at(1), redis_now()
if is_living(places.members, ARGV[1], now) then
    return 0
end
local uuids = redis.call("SPOP", KEYS[7], ARGV[3])
for _, uuid in ipairs(uuids) do
    local stored = redis.call("HGET", places.clients, uuid)
    if is_of(ARGV[2], stored) then
        redis.call("HDEL", places.clients, uuid)
        redis.call("HDEL", KEYS[6], uuid)
        wait_for(places, uuid, stored, now + tonumber(ARGV[4]))
    end
end
if #uuids == tonumber(ARGV[3]) then
    return 1
end
redis.call("ZREM", places.members, ARGV[1])
redis.call("HDEL", KEYS[8], ARGV[1])
redis.call("ZADD", KEYS[9], now, ARGV[1])
return 0
