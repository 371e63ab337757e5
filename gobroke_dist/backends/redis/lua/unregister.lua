--#include clock whereabouts memberships changes joining
-- Lets a client go, if this very session is the one known: it is forgotten, or, if it may come back, away. One that is away
-- can be forgotten, too.
--
-- KEYS: 1-5 the clients' places, 6 last_messages, 7 node_clients of the session's node, 8-13 the groups
-- ARGV: 1 the client's uuid, 2 what the session's registration starts with, 3 for how long it may come back, ms; 0: it
--       does not
-- Returns 1 if it was, else 0
-- Atomic because: the client may connect elsewhere, or join a group, between looking and removing; and from one step to the
--       next, what is sent to one that may come back must have a place.
local places, groups, window = places_at(1), groups_at(8), tonumber(ARGV[3])
local stored = redis.call("HGET", places.clients, ARGV[1])
if not is_of(ARGV[2], stored) then
    local away = window == 0 and redis.call("HGET", places.away, ARGV[1])
    if not is_of(ARGV[2], away) then
        return 0
    end
    stored = away
    no_longer_away(places, ARGV[1])
end
redis.call("HDEL", places.clients, ARGV[1])
redis.call("HDEL", KEYS[6], ARGV[1])
redis.call("SREM", KEYS[7], ARGV[1])
if window > 0 and wait_for(places, ARGV[1], stored, redis_now() + window) then
    step_out(groups, node_of(stored), ARGV[1])
else
    redis.call("HDEL", places.secrets, ARGV[1])
    leave_all(groups, node_of(stored), ARGV[1])
end
return 1
