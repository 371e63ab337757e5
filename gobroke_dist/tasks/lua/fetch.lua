--#include clock bell deliveries
-- Takes up to n messages for a worker, after those that are due have come back.
--
-- KEYS: 1 heartbeats, 2 acks, 3 done, 4 ready, 5 messages, 6 delayed_messages, 7 keys, 8 fences, 9 deliveries,
--       10 later, 11 counters, 12 bell
-- ARGV: 1 worker, 2 n, 3 number of this call, 4 lease (ms), 5 how many this process can run at once
-- Returns {"ok", ms until the next is due or -1, {{id, payload, key, fence, attempt, recovered}, ...}}, with
--       false for a payload that is gone and for no key; recovered: 0 no, 1 yes, 2 and a delivery is known to have
--       ended with its process; {"lease"}: this worker's lease is not valid;
--       {"late"}: a later call of this worker was carried out before this one.
-- Atomic because: an id must be in the ready list or in a worker's acks, with a fence, and never in between.
local now = redis_now()
redis.call("HDEL", KEYS[8], "") -- a first write that needs no memory: what waits is drained when memory is full
local beat = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not beat or tonumber(beat) < now - tonumber(ARGV[4]) then
    return { "lease" }
end
if tonumber(ARGV[3]) <= tonumber(redis.call("HGET", KEYS[3], "fetch") or "0") then
    return { "late" }
end
redis.call("HSET", KEYS[3], "fetch", ARGV[3], "threads", ARGV[5])
if redis.call("HEXISTS", KEYS[11], "halted") == 1 then
    return { "ok", -1, {} }
end

local n = tonumber(ARGV[2])
local due = redis.call("ZRANGEBYSCORE", KEYS[10], "-inf", now, "LIMIT", 0, n)
for _, id in ipairs(due) do
    redis.call("ZREM", KEYS[10], id)
    local payload = redis.call("HGET", KEYS[6], id)
    if payload then
        redis.call("HDEL", KEYS[6], id)
        redis.call("HSET", KEYS[5], id, payload)
    end
    redis.call("RPUSH", KEYS[4], id) -- behind the others: a crowd of retries must not keep them from running
end

local taken = {}
while #taken < n do
    local id = redis.call("LPOP", KEYS[4])
    if not id then
        break
    end
    -- An id that has a fence is running: somebody pushed it a second time.
    if redis.call("HEXISTS", KEYS[8], id) == 0 then
        local payload = redis.call("HGET", KEYS[5], id)
        local key = redis.call("HGET", KEYS[7], id)
        if payload or key then
            redis.call("SADD", KEYS[2], id)
            local fence = redis.call("HINCRBY", KEYS[11], "fence", 1)
            redis.call("HSET", KEYS[8], id, fence)
            local deliveries = redis.call("HINCRBY", KEYS[9], id, 1)
            local recovered = 0
            local past = deliveries > 1 and tonumber(redis.call("HGET", KEYS[9], id .. RECOVERED))
            if past then
                deliveries, recovered = deliveries - math.floor(past / 2), 1 + past % 2
            end
            taken[#taken + 1] = { id, payload, key, fence, deliveries, recovered }
        end
    end
end

if redis.call("LLEN", KEYS[4]) > 0 then
    ring(KEYS[12])
end
local wait, first = -1, redis.call("ZRANGE", KEYS[10], 0, 0, "WITHSCORES")
if first[2] then
    wait = math.max(0, tonumber(first[2]) - now)
end
return { "ok", wait, taken }
