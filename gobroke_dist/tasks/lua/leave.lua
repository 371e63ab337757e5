--#include clock
-- Gives a worker's lease up when it ends.
--
-- KEYS: 1 heartbeats, then for each queue: workers, acks, done
-- ARGV: 1 worker
-- Returns how many messages it still holds; they are for anybody to take.
-- Atomic because: a worker may be forgotten only while it holds nothing.
redis.call("ZREM", KEYS[1], ARGV[1]) -- first, because it needs no memory
local held = 0
for at = 2, #KEYS, 3 do
    local here = redis.call("SCARD", KEYS[at + 1])
    if here == 0 then
        redis.call("DEL", KEYS[at + 2]) -- else whoever takes the messages reads it, and it expires
        redis.call("ZREM", KEYS[at], ARGV[1])
    else
        redis.call("ZADD", KEYS[at], 0, ARGV[1])
    end
    held = held + here
end
return held
