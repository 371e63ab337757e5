--#include clock bell return
-- Takes one queue's messages from a worker whose lease ran out. Safe for any number of rescuers.
--
-- KEYS: 1 heartbeats, 2 the worker's queues, 3 acks, 4 ready, 5 fences, 6 deliveries, 7 bell
-- ARGV: 1 worker, 2 lease (ms), 3 queue
-- Returns how many messages were taken; -1: the worker has its lease again.
-- Atomic because: the lease must still be out when the fences go, and an id is never in neither place.
local beat = redis.call("ZSCORE", KEYS[1], ARGV[1])
if beat and tonumber(beat) >= redis_now() - tonumber(ARGV[2]) then
    return -1
end
redis.call("SREM", KEYS[2], ARGV[3]) -- first, because it needs no memory
local ids = redis.call("SMEMBERS", KEYS[3])
give_back(ids, KEYS[3], KEYS[4], KEYS[5], KEYS[7])
for _, id in ipairs(ids) do
    redis.call("HSET", KEYS[6], id .. ":r", 1)
end
if redis.call("SCARD", KEYS[2]) == 0 then
    redis.call("ZREM", KEYS[1], ARGV[1])
end
return #ids
