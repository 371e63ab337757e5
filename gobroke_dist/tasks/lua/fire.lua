--#include clock bell queue place
-- Claims one nominal time of a PASSIVE logic and enqueues its job.
--
-- KEYS: 1-12 the queue, 13 lane, 14 schedule
-- ARGV: 1 dedup window (ms), 2-7 what `place` reads, 8 logic, 9 nominal (ms)
-- Returns 1: this call fired it; 0: it, or a later one, was fired before.
-- Atomic because: a claim without its job would be a firing that never runs, a job without its claim one too many.
local last = tonumber(redis.call("HGET", KEYS[14], ARGV[8]) or "-1")
if tonumber(ARGV[9]) <= last then
    return 0
end
local queue, window, now = queue_at(1), tonumber(ARGV[1]), redis_now()
redis.call("HSET", KEYS[14], ARGV[8], ARGV[9])
turn_window(queue, window, now)
place(queue, 2, window, now)
return 1
