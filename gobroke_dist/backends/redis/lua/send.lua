--#include clock post whereabouts sending
-- Sends a datum to clients, wherever they are.
--
-- KEYS: 1 posts, 2-6 the clients' places
-- ARGV: 1 what the names of the nodes' channels begin with, 2 what those of their logs begin with, 3 how many data a log
--       keeps, 4 for how long (ms), 5 the datum, then the uuids
-- Returns the uuids that are nowhere
-- Atomic because: of what a client gets by coming back the last is what was published before it moved; so nothing may be
--       published to where it was after that. And who sends twice without waiting must not overtake itself.
local channels = { name = ARGV[1], log = ARGV[2], most = ARGV[3], kept = ARGV[4] }
return send(KEYS[1], places_at(2), channels, 6, #ARGV, ARGV[5], redis_now())
