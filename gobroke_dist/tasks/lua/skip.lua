--#include clock bell deliveries queue
-- Goes on without the first message of an ordering key: it becomes a dead letter, if it is none yet.
--
-- KEYS: 1 dead, 2 dead_messages, 3 deliveries, 4 lane, 5-16 the queue
-- ARGV: 1 key, 2 id of the message that is to be skipped, 3 its dead letter
-- Returns "skipped"; "released": the key waited for this dead letter, which stays one; "runs": a worker has it;
--       "changed": it is not the first of its key any more.
-- Atomic because: the message must not start while it is skipped.
local key, id, queue = ARGV[1], ARGV[2], queue_at(5)
local head = redis.call("HGET", queue.heads, key)
if head == HALTED .. id then
    redis.call("HDEL", queue.halted, key)
    promote(queue, key, KEYS[4])
    return "released"
end
local first = head == PAUSED and redis.call("LINDEX", KEYS[4], 0) or head
if first ~= id then
    return "changed"
end
if redis.call("HEXISTS", queue.fences, id) == 1 then
    return "runs"
end
redis.call("LREM", queue.ready, 0, id)
redis.call("ZREM", queue.later, id)
local there = redis.call("HDEL", queue.messages, id) + redis.call("HDEL", queue.delayed, id)
redis.call("HDEL", queue.keys, id)
forget_deliveries(KEYS[3], id)
if there > 0 then
    redis.call("ZADD", KEYS[1], redis_now(), id)
    redis.call("HSET", KEYS[2], id, ARGV[3])
end
if head == id then
    promote(queue, key, KEYS[4])
else
    redis.call("LPOP", KEYS[4])
end
return "skipped"
