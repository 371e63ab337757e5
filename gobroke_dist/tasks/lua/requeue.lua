--#include bell
-- Gives back messages that were fetched and not started, to the front and in their order.
--
-- KEYS: 1 acks, 2 ready, 3 fences, 4 deliveries, 5 bell
-- ARGV: id, fence of each, in the order in which they were fetched
-- Returns how many were given back; the others are no longer this worker's.
-- Atomic because: an id must be in the ready list or in a worker's acks, and never in between.
local count = 0
for at = #ARGV - 1, 1, -2 do
    local id = ARGV[at]
    if redis.call("HGET", KEYS[3], id) == ARGV[at + 1] then
        redis.call("SREM", KEYS[1], id)
        redis.call("HDEL", KEYS[3], id)
        redis.call("HINCRBY", KEYS[4], id, -1)
        redis.call("LPUSH", KEYS[2], id)
        count = count + 1
    end
end
if redis.call("LLEN", KEYS[2]) > 0 then
    ring(KEYS[5])
end
return count
