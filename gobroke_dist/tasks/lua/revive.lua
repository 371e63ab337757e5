--#include clock bell queue place
-- Makes a message of a dead letter: at its old place if its key waits for it, else behind all others of its key.
--
-- KEYS: 1 dead, 2 dead_messages, 3 lane, 4-15 the queue
-- ARGV: 1 id of the dead letter, 2 "1": only if it is still there, 3 its number in the queue and 4 when it was accepted
--       ("", "": not known), then what `place` reads of the new message: 5 id, 6 payload, …, 9 key, 10 lane
-- Returns "first"; "last"; "here": this call was carried out before; "gone": there is no such dead letter.
-- Atomic because: a message must never be both dead and alive, nor neither.
local dead, id, key, keyed, queue = ARGV[1], ARGV[5], ARGV[9], ARGV[10] ~= "0", queue_at(4)
if is_here(queue, id) then
    return "here"
end
if ARGV[2] == "1" and redis.call("HEXISTS", KEYS[2], dead) == 0 then
    return "gone"
end

-- The first write is one that a full memory refuses: the dead letter must stay then.
local function store(payload)
    redis.call("HSET", queue.messages, id, payload)
    redis.call("ZREM", KEYS[1], dead)
    redis.call("HDEL", KEYS[2], dead)
end

if keyed and redis.call("HGET", queue.heads, key) == HALTED .. dead then
    -- Its old number, or none: a new one would be higher than those of the messages that wait behind it.
    store(stamped(6, ARGV[3], ARGV[4]))
    redis.call("HDEL", queue.halted, key)
    put_first(queue, key, KEYS[3], id)
    return "first"
end
local payload = stamped(6, redis.call("HINCRBY", queue.counters, "seq", 1), redis_now())
store(payload)
line_up(queue, id, keyed, key, KEYS[3], payload)
return "last"
