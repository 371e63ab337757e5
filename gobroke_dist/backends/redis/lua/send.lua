--#include post whereabouts
-- Publishes a datum on a node's channel, numbered, and keeps it in the channel's log, if its clients are all there.
--
-- KEYS: 1 posts, 2 the channel's log, 3 clients, 4 away
-- ARGV: 1 the channel's field in posts, 2 its name, 3 how many data its log keeps, 4 for how long (ms), 5 the datum,
--       6 what the registrations of the node's clients begin with, then the uuids of the clients
-- Returns {how many listen, then the uuids that are not there: nothing was published then}
-- Atomic because: of what a client gets by coming back the last is what was published before it moved; so nothing may be
--       published to where it was after that.
local moved = { 0 }
for at = 7, #ARGV do
    if not is_of(ARGV[6], registration(KEYS[3], KEYS[4], ARGV[at])) then
        moved[#moved + 1] = ARGV[at]
    end
end
if #moved == 1 then
    moved[1] = post(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4], "0" .. ARGV[5])
end
return moved
