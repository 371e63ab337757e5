--#include bell queue
-- Ends the pause of one ordering key.
--
-- KEYS: 1 lane, 2 paused, 3-14 the queue
-- ARGV: 1 key
-- Returns "resumed"; "halted": its pause is over, but it waits for what becomes of a dead letter; "not paused".
-- Atomic because: a message that is accepted meanwhile must come after those that were held.
local key, queue = ARGV[1], queue_at(3)
local was_paused = redis.call("SREM", KEYS[2], key) == 1
local head = redis.call("HGET", queue.heads, key)
if was_paused and head == PAUSED then
    promote(queue, key, KEYS[1])
elseif was_paused then
    redis.call("LREM", KEYS[1], 1, PAUSED)
end
if head and head ~= PAUSED and is_mark(head) then
    return "halted"
end
return was_paused and "resumed" or "not paused"
