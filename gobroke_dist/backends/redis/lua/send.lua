--#include clock post whereabouts memberships sending
-- Sends a datum to clients and to the members of groups, wherever they are.
--
-- KEYS, ARGV: see parts/sending.lua
-- Returns the uuids that are nowhere
-- Atomic because: of what a client gets by coming back the last is what was published before it moved; so nothing may be
--       published to where it was after that. And who sends twice without waiting must not overtake itself.
return (send(1, 1, redis_now()))
