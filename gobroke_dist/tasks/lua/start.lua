--#include deliveries
-- Notes that a delivery starts, for a message that may not have many left.
--
-- KEYS: 1 fences, 2 deliveries
-- ARGV: 1 id, 2 fence
-- Returns 1; 0: the delivery was taken from this worker and must not start.
-- Atomic because: a note must not be left of a delivery that is over.
redis.call("HDEL", KEYS[1], "") -- a first write that needs no memory
if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] then
    return 0
end
redis.call("HSET", KEYS[2], ARGV[1] .. STARTED, ARGV[2])
return 1
