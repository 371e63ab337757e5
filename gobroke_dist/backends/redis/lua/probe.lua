-- Publishes on a node's own channel what the last numbers of both of its channels are: whoever hears it has heard all
-- that was published before, or has missed it.
--
-- KEYS: 1 posts
-- ARGV: 1 the channel's name, 2 its field in posts, 3 the field of the channel of all nodes
-- Returns how many listen
-- Atomic because: nothing may be published between reading the numbers and publishing them.
local known = redis.call("HMGET", KEYS[1], "#epoch", ARGV[2], ARGV[3])
local numbers = (known[1] or "-") .. " " .. (known[2] or "0") .. " " .. (known[3] or "0")
return redis.call("PUBLISH", ARGV[1], "\3" .. numbers)
