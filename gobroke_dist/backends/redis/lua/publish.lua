--#include post
-- Publishes a datum on a channel, numbered, and keeps it in the channel's log.
--
-- KEYS: 1 posts, 2 the channel's log
-- ARGV: 1 the channel's field in posts, 2 its name, 3 how many data its log keeps, 4 for how long (ms), 5 the datum
-- Returns how many listen
-- Atomic because: the order of the numbers is the order in which the data are published.
return post(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4], "0" .. ARGV[5])
