--#include clock whereabouts memberships changes joining
-- Removes some clients of a dead member with their memberships, and the member itself with the last of them. Those that may
-- come back are away.
--
-- KEYS: 1-5 the clients' places, 6 last_messages, 7 node_clients of the dead member, 8-13 the groups, 14 member_info,
--       15 retired
-- ARGV: 1 the dead member's node, 2 what each of its registrations starts with, 3 after how many clients and memberships to
--       stop, 4 for how long a client may come back, ms
-- Returns 1 if some may be left, 0 if there is nothing more to do
-- Atomic because: the member may come back, and a client may move, between looking and removing. Several members may
--       sweep the same one at once.
local places, groups, now, left = places_at(1), groups_at(8), redis_now(), tonumber(ARGV[3])
if is_living(places.members, ARGV[1], now) then
    return 0
end
while left > 0 do
    local uuid = redis.call("SPOP", KEYS[7])
    if not uuid then
        redis.call("ZREM", places.members, ARGV[1])
        redis.call("HDEL", KEYS[14], ARGV[1])
        redis.call("ZADD", KEYS[15], now, ARGV[1])
        return 0
    end
    local stored = redis.call("HGET", places.clients, uuid)
    local waits = false
    if is_of(ARGV[2], stored) then
        redis.call("HDEL", places.clients, uuid)
        redis.call("HDEL", KEYS[6], uuid)
        waits = wait_for(places, uuid, stored, now + tonumber(ARGV[4]))
    end
    left = left - 1 - (waits and step_out or leave_all)(groups, ARGV[1], uuid)
end
return 1
