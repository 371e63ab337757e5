--#include clock bell deliveries queue place
-- Gives a fetched message that is not the head of its key its place: a delayed first send whose time has come,
-- or what another tool pushed on the list.
--
-- KEYS: 1 acks, 2 deliveries, 3 lane, 4-15 the queue
-- ARGV: 1 id, 2 fence, 3 keyed, 4 key, 5 payload, 6 eta (Unix ms; 0: none), 7 id of the dead letter that it was, or ""
-- Returns "run": it is the head now, and still this worker's; "waits": it was put in its place; "stale".
-- Atomic because: whether the key is free must not change before the message has its place.
local queue, id, keyed, key, eta = queue_at(4), ARGV[1], ARGV[3] == "1", ARGV[4], tonumber(ARGV[6])
if redis.call("HGET", queue.fences, id) ~= ARGV[2] then
    return "stale"
end
local now = redis_now()
redis.call("HDEL", queue.fences, "") -- as in fetch
local function is_head()
    if not keyed or redis.call("HSETNX", queue.heads, key, id) == 1 then
        return true
    end
    local head = redis.call("HGET", queue.heads, key)
    if ARGV[7] ~= "" and head == HALTED .. ARGV[7] then
        redis.call("HSET", queue.heads, key, id) -- the key waited for this one
        redis.call("HDEL", queue.halted, key)
        return true
    end
    return head == id
end
if eta <= now and is_head() then
    if keyed then
        redis.call("HSET", queue.keys, id, key)
    end
    return "run"
end
redis.call("SREM", KEYS[1], id)
redis.call("HDEL", queue.fences, id)
forget_deliveries(KEYS[2], id)
if eta > now then
    redis.call("HDEL", queue.messages, id)
    redis.call("HSET", queue.delayed, id, ARGV[5])
    hold_until(queue, id, eta)
elseif not redis.call("LPOS", KEYS[3], id) then
    line_up(queue, id, keyed, key, KEYS[3])
end
return "waits"
