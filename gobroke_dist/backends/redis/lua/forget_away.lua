--#include clock whereabouts
-- Forgets clients that did not come back in time, and the numbers of nodes that are gone for as long: at most so many.
--
-- KEYS: 1-5 the clients' places, 6 retired, 7 posts
-- ARGV: 1 how many at most, 2 how long numbers are kept, ms
-- Returns how many
-- Atomic because: a client may come back between looking and removing.
local places, now = places_at(1), redis_now()
local late = redis.call("ZRANGEBYSCORE", places.away_until, "-inf", now, "LIMIT", 0, ARGV[1])
for _, uuid in ipairs(late) do
    no_longer_away(places, uuid)
    if redis.call("HEXISTS", places.clients, uuid) == 0 then
        redis.call("HDEL", places.secrets, uuid)
    end
end
local gone = redis.call("ZRANGEBYSCORE", KEYS[6], "-inf", now - tonumber(ARGV[2]), "LIMIT", 0, ARGV[1])
for _, node in ipairs(gone) do
    redis.call("ZREM", KEYS[6], node)
    redis.call("HDEL", KEYS[7], node)
end
return #late
