--#include clock
-- Gives a worker's lease up when it ends.
--
-- KEYS: 1 heartbeats, 2 this worker's queues, then for each queue: acks, done
-- ARGV: 1 worker
-- Returns how many messages it still holds: others take them at their next renewal.
-- Atomic because: a worker may be forgotten only while it holds nothing.
local held = 0
for at = 3, #KEYS, 2 do
    local here = redis.call("SCARD", KEYS[at])
    if here == 0 then
        redis.call("DEL", KEYS[at + 1]) -- else whoever takes the messages reads it, and it expires
    end
    held = held + here
end
if held == 0 then
    redis.call("DEL", KEYS[2])
    redis.call("ZREM", KEYS[1], ARGV[1])
else
    redis.call("ZADD", KEYS[1], 0, ARGV[1])
end
return held
