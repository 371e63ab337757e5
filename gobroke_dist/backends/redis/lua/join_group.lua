--#include clock post whereabouts memberships changes joining
-- Makes a client a member of a group, and tells its node. One that is away is in it when it is back.
--
-- KEYS: 1-5 the clients' places, 6-11 the groups, 12 posts, 13 the log of the channel of the client's node
-- ARGV: 1 the client's node, 2 its uuid, 3 what its session's registration starts with, 4 the session, 5 the group, then of
--       the channel: 6 its field in posts, 7 its name, 8 how many data its log keeps, 9 for how long (ms), 10 the datum
-- Returns "changed"; "unchanged": nobody was told; "elsewhere": the client has come back since, with another session; or
--         "nowhere": this session is not connected
-- Atomic because: the client may go between looking and joining. And what anybody sends to the group once this is done
--       comes after this datum on the channel of the node.
local places = places_at(1)
local stored = find(places, ARGV[2], redis_now(), true)
if not is_of(ARGV[3], stored) then
    return stored and was_its_session(places, ARGV[2], ARGV[4]) and "elsewhere" or "nowhere"
end
local is_away = redis.call("HEXISTS", places.clients, ARGV[2]) == 0
if not join(groups_at(6), ARGV[5], ARGV[1], ARGV[2], is_away) then
    return "unchanged"
end
post(KEYS[12], KEYS[13], ARGV[6], ARGV[7], ARGV[8], ARGV[9], "0" .. ARGV[10])
return "changed"
