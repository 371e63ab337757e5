--#include clock whereabouts memberships changes joining
-- Forgets clients that did not come back in time, and the numbers of nodes that are gone for as long: at most so many.
--
-- KEYS: 1-5 the clients' places, 6-11 the groups, 12 retired, 13 posts
-- ARGV: 1 after how many clients and memberships to stop, and of how many nodes, 2 how long numbers are kept, ms
-- Returns how many
-- Atomic because: a client may come back between looking and removing.
local places, groups, now, left = places_at(1), groups_at(6), redis_now(), tonumber(ARGV[1])
local late = redis.call("ZRANGEBYSCORE", places.away_until, "-inf", now, "LIMIT", 0, ARGV[1])
for _, uuid in ipairs(late) do
    local stored = redis.call("HGET", places.away, uuid)
    no_longer_away(places, uuid)
    if redis.call("HEXISTS", places.clients, uuid) == 0 then
        redis.call("HDEL", places.secrets, uuid)
    end
    left = left - 1 - (stored and leave_all(groups, node_of(stored), uuid) or 0)
    if left <= 0 then
        break
    end
end
local gone = redis.call("ZRANGEBYSCORE", KEYS[12], "-inf", now - tonumber(ARGV[2]), "LIMIT", 0, ARGV[1])
for _, node in ipairs(gone) do
    redis.call("ZREM", KEYS[12], node)
    redis.call("HDEL", KEYS[13], node)
end
return #late
