--#include clock bell queue place
-- Accepts messages for one queue, in order, each at most once per window.
--
-- KEYS: 1-11 the queue, then one lane for each message (the ready list for one without a key)
-- ARGV: 1 dedup window (ms), then for each message: id, payload, delay (ms), keyed, key, index of its lane in KEYS
-- Returns how many were new.
-- Atomic because: whether a key is free, and whether an id is new, must not change before the message is placed.
local queue, window, now = queue_at(1), tonumber(ARGV[1]), redis_now()
local accepted = 0
turn_window(queue, window, now)
for at = 2, #ARGV, PLACE_ARGS do
    if place(queue, at, window, now) then
        accepted = accepted + 1
    end
end
return accepted
