--#include clock whereabouts memberships changes joining
-- Makes a client known, unless another session of it is on a living member.
--
-- KEYS: 1-5 the clients' places, 6 last_messages, 7 node_clients of the client's node, 8-13 the groups
-- ARGV: 1 the client's node, 2 its uuid, 3 its registration, 4 the part of it that tells this session from others, 5 its
--       last message, Unix ms; then the groups that it is in, should this session not be known any more
-- Returns {"registered"}, {"taken", node of the other session} or {"expired"}: the client's own node has no lease
-- Atomic because: of two nodes that register one uuid at once, one must lose; and who takes a uuid over is in none of the
--       groups that it was in.
local places, groups, now = places_at(1), groups_at(8), redis_now()
if not is_living(places.members, ARGV[1], now) then
    return { "expired" }
end
local stored = redis.call("HGET", places.clients, ARGV[2])
if stored and not is_of(ARGV[4], stored) and is_on_living(places.members, stored, now) then
    return { "taken", node_of(stored) }
end
-- A node that was thought dead finds its own clients away.
local before = registration(places.clients, places.away, ARGV[2])
redis.call("HSET", places.clients, ARGV[2], ARGV[3]) -- first: a new client is refused when memory is full
redis.call("HSET", KEYS[6], ARGV[2], ARGV[5])
redis.call("SADD", KEYS[7], ARGV[2])
local was_away = no_longer_away(places, ARGV[2])
if is_of(ARGV[4], before) then
    if was_away then
        step_in(groups, ARGV[1], ARGV[1], ARGV[2])
    end
    return { "registered" }
end
if before then -- whoever had this uuid can't come back any more
    redis.call("HDEL", places.secrets, ARGV[2])
    leave_all(groups, node_of(before), ARGV[2])
end
for index = 6, #ARGV do
    join(groups, ARGV[index], ARGV[1], ARGV[2])
end
return { "registered" }
