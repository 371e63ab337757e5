--#include bell queue
-- Holds one ordering key: it accepts messages, and nothing of it starts.
--
-- KEYS: 1 lane, 2 paused, 3-14 the queue
-- ARGV: 1 key
-- Returns "paused"; "runs": paused, but for the message that a worker has already; "already".
-- Atomic because: the head must not be fetched while it is put back.
local key, queue = ARGV[1], queue_at(3)
if redis.call("SADD", KEYS[2], key) == 0 then
    return "already"
end
local head = redis.call("HGET", queue.heads, key)
if head and is_mark(head) then
    redis.call("LPUSH", KEYS[1], PAUSED)
    return "paused"
end
if head and redis.call("HEXISTS", queue.fences, head) == 1 then
    redis.call("LPUSH", KEYS[1], PAUSED)
    return "runs"
end
redis.call("HSET", queue.heads, key, PAUSED)
if head then
    redis.call("LREM", queue.ready, 0, head)
    redis.call("HDEL", queue.keys, head)
    local payload = redis.call("ZREM", queue.later, head) == 1 and redis.call("HGET", queue.delayed, head)
    if payload then
        redis.call("HDEL", queue.delayed, head)
        redis.call("HSET", queue.messages, head, payload)
    end
    redis.call("LPUSH", KEYS[1], head)
end
return "paused"
