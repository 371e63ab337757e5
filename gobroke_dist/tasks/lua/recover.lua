--#include clock bell deliveries return
-- Takes one queue's messages from a worker whose lease ran out. Safe for any number of rescuers.
--
-- What had started counts as an attempt, what had only been fetched does not. Starts are noted only for messages that
-- were recovered before or are at their last attempt. Of the others, those count that were fetched first, as many as
-- the process could run at once: it starts messages in the order in which it fetched them.
--
-- KEYS: 1 heartbeats, 2 the worker's queues, 3 acks, 4 ready, 5 fences, 6 deliveries, 7 bell, 8 done, 9 later
-- ARGV: 1 worker, 2 lease (ms), 3 queue
-- Returns how many messages were taken; -1: the worker has its lease again.
-- Atomic because: the lease must still be out when the fences go, and an id is never in neither place.
local APART = 250 -- ms; what may have killed a process comes back one by one, so that the others are not killed again
local beat, now = redis.call("ZSCORE", KEYS[1], ARGV[1]), redis_now()
if beat and tonumber(beat) >= now - tonumber(ARGV[2]) then
    return -1
end
redis.call("SREM", KEYS[2], ARGV[3]) -- first, because it needs no memory
local threads = tonumber(redis.call("HGET", KEYS[8], "threads") or math.huge)
local held, unsuspected, suspects = in_order(redis.call("SMEMBERS", KEYS[3]), KEYS[5]), {}, 0
for place, one in ipairs(held) do
    local id, fence = one[1], one[2]
    local past = tonumber(redis.call("HGET", KEYS[6], id .. RECOVERED))
    if tonumber(redis.call("HGET", KEYS[6], id .. STARTED)) == fence then
        if (past or 0) % 2 == 0 then
            redis.call("HINCRBY", KEYS[6], id .. RECOVERED, 1)
        end
        redis.call("SREM", KEYS[3], id)
        redis.call("HDEL", KEYS[5], id)
        redis.call("ZADD", KEYS[9], now + APART * suspects, id)
        suspects = suspects + 1
    else
        redis.call("HINCRBY", KEYS[6], id .. RECOVERED, (past or place > threads) and 2 or 0)
        unsuspected[#unsuspected + 1] = one
    end
end
give_back(unsuspected, KEYS[3], KEYS[4], KEYS[5], KEYS[7])
if suspects > 0 then
    ring(KEYS[7])
end
if redis.call("SCARD", KEYS[2]) == 0 then
    redis.call("ZREM", KEYS[1], ARGV[1])
end
return #held
