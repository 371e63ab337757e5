--#include clock bell queue place
-- Makes a message of a dead letter: at its old place if its key waits for it, else behind all others of its key.
--
-- KEYS: 1 dead, 2 dead_messages, 3 lane, 4-15 the queue
-- ARGV: 1 id of the dead letter, 2 id of the new message, 3 its payload, 4 keyed, 5 key,
--       6 "1": only if the dead letter is still there
-- Returns "first"; "last"; "here": this call was carried out before; "gone": there is no such dead letter.
-- Atomic because: a message must never be both dead and alive, nor neither.
local dead, id, key, queue = ARGV[1], ARGV[2], ARGV[5], queue_at(4)
if is_here(queue, id) then
    return "here"
end
if ARGV[6] == "1" and redis.call("HEXISTS", KEYS[2], dead) == 0 then
    return "gone"
end
redis.call("HSET", queue.messages, id, ARGV[3]) -- first: when memory is full, the dead letter must stay
redis.call("ZREM", KEYS[1], dead)
redis.call("HDEL", KEYS[2], dead)
if ARGV[4] == "1" and redis.call("HGET", queue.heads, key) == HALTED .. dead then
    redis.call("HDEL", queue.halted, key)
    put_first(queue, key, KEYS[3], id)
    return "first"
end
line_up(queue, id, ARGV[4] == "1", key, KEYS[3], ARGV[3])
return "last"
