-- Reads what was published on a channel after a number.
--
-- KEYS[1]  posts  HASH    channel -> number of its last datum
-- KEYS[2]  log    STREAM  of the channel
-- ARGV[1]  the channel's field in posts
-- ARGV[2]  the number
-- ARGV[3]  how many data at most
-- Returns {number of the channel's last datum, {{"number-1", {"p", number of the one before, "d", datum}}, ...}}
--
-- Atomic: the number and the log must be of one instant.

local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
return { last, redis.call('XRANGE', KEYS[2], ARGV[2] + 1, '+', 'COUNT', ARGV[3]) }
