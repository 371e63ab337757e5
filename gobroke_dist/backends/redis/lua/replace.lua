--#include clock post whereabouts memberships changes joining
-- Gives a client's place from one session to another, and tells the node of the one that loses it.
--
-- KEYS: 1-5 the clients' places, 6 last_messages, 7 node_clients of the client's node, 8 of the older session's node,
--       9 posts, 10 log of the channel of the older session's node, 11-16 the groups
-- ARGV: 1 the client's node, 2 its uuid, 3 its registration, 4 the part of it that tells this session from others, 5 its
--       last message, Unix ms; 6 what the older session's registration starts with; then of the channel of its node:
--       7 its field in posts, 8 its name, 9 how many data its log keeps, 10 for how long (ms), 11 the datum
-- Returns "replaced", also when it was before; "changed": the older session is not the one that is known; or "expired":
--         the client's own node has no lease
-- Atomic because: of several that replace one session, one wins; and what is sent to the client once it is known here
--       reaches the older session's node after the news.
local places = places_at(1)
if not is_living(places.members, ARGV[1], redis_now()) then
    return "expired"
end
local stored = redis.call("HGET", places.clients, ARGV[2])
if is_of(ARGV[4], stored) then
    return "replaced"
end
if not is_of(ARGV[6], stored) then
    return "changed"
end
redis.call("HSET", places.clients, ARGV[2], ARGV[3])
redis.call("HSET", KEYS[6], ARGV[2], ARGV[5])
redis.call("HDEL", places.secrets, ARGV[2]) -- the older session does not come back
leave_all(groups_at(11), node_of(stored), ARGV[2])
redis.call("SREM", KEYS[8], ARGV[2])
redis.call("SADD", KEYS[7], ARGV[2])
post(KEYS[9], KEYS[10], ARGV[7], ARGV[8], ARGV[9], ARGV[10], "0" .. ARGV[11])
return "replaced"
