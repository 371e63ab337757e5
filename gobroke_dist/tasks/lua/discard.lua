--#include bell queue
-- Deletes a dead letter for good; a key that waits for it goes on with its next message.
--
-- KEYS: 1 dead, 2 dead_messages, 3 lane, 4-15 the queue
-- ARGV: 1 id, 2 keyed, 3 key
-- Returns whether it was there (1 or 0).
-- Atomic because: a key must not wait for a dead letter that is gone.
local id, key, queue = ARGV[1], ARGV[3], queue_at(4)
redis.call("ZREM", KEYS[1], id)
local there = redis.call("HDEL", KEYS[2], id)
if ARGV[2] == "1" and redis.call("HGET", queue.heads, key) == HALTED .. id then
    redis.call("HDEL", queue.halted, key)
    promote(queue, key, KEYS[3])
end
return there
