--#include clock bell queue place
-- Accepts messages for one queue, in order, each at most once per window.
--
-- KEYS: 1-12 the queue, then one lane for each message (the ready list for one without a key)
-- ARGV: 1 dedup window (ms), 2 how many messages the queue may hold (0: any number), then for each message:
--       id, payload, delay (ms), keyed, key, index of its lane in KEYS
-- Returns {how many were new, then the numbers (from 1) of those that there was no room for}.
-- Atomic because: whether a key is free, whether an id is new and whether there is room must not change before the
--       message is placed.
local queue, window, now = queue_at(1), tonumber(ARGV[1]), redis_now()
local limit, room = tonumber(ARGV[2]), math.huge
if limit > 0 then
    room = limit - redis.call("HLEN", queue.messages) - redis.call("HLEN", queue.delayed)
end

-- Whoever sends a message again must hear that it was accepted, even when the queue is full by now.
local function was_accepted(id)
    return is_here(queue, id)
        or redis.call("SISMEMBER", queue.seen_new, id) == 1
        or redis.call("SISMEMBER", queue.seen_old, id) == 1
end

local answer = { 0 }
turn_window(queue, window, now)
for at = 3, #ARGV, PLACE_ARGS do
    if room <= 0 and not was_accepted(ARGV[at]) then
        answer[#answer + 1] = (at - 3) / PLACE_ARGS + 1
    elseif place(queue, at, window, now) then
        answer[1] = answer[1] + 1
        room = room - 1
    end
end
return answer
