--#include clock post whereabouts memberships changes joining
-- Takes a client out of a group, and tells its node.
--
-- KEYS, ARGV, returns: as join_group.lua; "nowhere": it is in no group
-- Atomic because: the client may connect anew, and join, between looking and leaving; and its node must be told in the
--       order of all that happens to its clients.
local places = places_at(1)
local stored = registration(places.clients, places.away, ARGV[2])
if not is_of(ARGV[3], stored) then
    return stored and was_its_session(places, ARGV[2], ARGV[4]) and "elsewhere" or "nowhere"
end
if not leave(groups_at(6), ARGV[5], ARGV[1], ARGV[2]) then
    return "unchanged"
end
post(KEYS[12], KEYS[13], ARGV[6], ARGV[7], ARGV[8], ARGV[9], "0" .. ARGV[10])
return "changed"
