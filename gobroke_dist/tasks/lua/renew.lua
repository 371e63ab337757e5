--#include clock bell
-- Renews a worker's lease, and looks after its queues: what other tools pushed, what is due, old dead letters.
--
-- KEYS: 1 heartbeats, 2 this worker's queues, then for each queue: ready, later, bell, delayed_ready,
--       delayed_messages, dead, dead_messages, done
-- ARGV: 1 worker, 2 lease (ms), 3 life of a dead letter (ms), then the queues' names
-- Returns {late, workers whose lease ran out, at most 20}; late: 1 if this worker's own had run out.
-- Atomic because: a fetch needs a lease, and a lease needs the list of the queues that a rescuer has to visit.
local BATCH = 100
local now, lease = redis_now(), tonumber(ARGV[2])
redis.call("SREM", KEYS[2], "") -- a first write that needs no memory: leases are renewed when memory is full
local beat = tonumber(redis.call("ZSCORE", KEYS[1], ARGV[1]) or now)
redis.call("ZADD", KEYS[1], now, ARGV[1])
for i = 4, #ARGV do
    redis.call("SADD", KEYS[2], ARGV[i])
end

-- When a message that a stock producer delayed is due, by its own clock; it did not say it any other way.
local function eta_of(payload)
    local read, message = pcall(cjson.decode, payload or "")
    local options = read and type(message) == "table" and message.options
    return type(options) == "table" and tonumber(options.eta) or now
end

local function adopt(list, payloads, later)
    for _ = 1, BATCH do
        local id = redis.call("LPOP", list)
        if not id then
            return
        end
        redis.call("ZADD", later, eta_of(redis.call("HGET", payloads, id)), id)
    end
end

local function bury(dead, payloads, oldest)
    for _, id in ipairs(redis.call("ZRANGEBYSCORE", dead, "-inf", oldest, "LIMIT", 0, BATCH)) do
        redis.call("ZREM", dead, id)
        redis.call("HDEL", payloads, id)
    end
end

for at = 3, #KEYS, 8 do
    adopt(KEYS[at + 3], KEYS[at + 4], KEYS[at + 1])
    bury(KEYS[at + 5], KEYS[at + 6], now - tonumber(ARGV[3]))
    redis.call("PEXPIRE", KEYS[at + 7], lease * 10)
    local first = redis.call("ZRANGE", KEYS[at + 1], 0, 0, "WITHSCORES")
    if redis.call("LLEN", KEYS[at]) > 0 or (first[2] and tonumber(first[2]) <= now + lease) then
        ring(KEYS[at + 2])
    end
end
local gone = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now - lease, "LIMIT", 0, 20)
return { beat < now - lease and 1 or 0, gone }
