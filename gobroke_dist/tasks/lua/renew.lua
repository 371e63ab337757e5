--#include clock bell
-- Renews a worker's lease, tells when another's runs out, and looks after its queues: what other tools pushed, what is
-- due, old dead letters. Its cost does not depend on how many workers there are, alive or dead.
--
-- KEYS: 1 heartbeats, then for each queue: workers, ready, later, bell, delayed_ready, delayed_messages, dead,
--       dead_messages, done, counters
-- ARGV: 1 worker, 2 lease (ms), 3 life of a dead letter (ms), then the queues' names
-- Returns {ms since this worker's last renewal or -1, ms until the next lease of another worker of these queues will
--       have run out or -1, the names of the queues with a worker whose lease has run out, the last fence of each
--       queue}.
-- Atomic because: a fetch needs a lease, and a lease needs an entry in each queue, where a rescuer finds it.
local BATCH = 100
local FORGOTTEN = 86400000 -- ms; a heartbeat that is missing says the same as an old one
local now, lease = redis_now(), tonumber(ARGV[2])
redis.call("ZREM", KEYS[1], "") -- a first write that needs no memory: leases are renewed when memory is full

-- Only a clock that was put back leaves a time that is yet to come, and with it a lease that would never end.
local function renewed(workers)
    redis.call("ZADD", workers, now, ARGV[1])
    for _, worker in ipairs(redis.call("ZRANGEBYSCORE", workers, "(" .. now, "+inf", "LIMIT", 0, BATCH)) do
        redis.call("ZADD", workers, now, worker)
    end
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

local function look_after(workers, ready, later, bell, delayed_ready, delayed_messages, dead, dead_messages, done)
    renewed(workers)
    adopt(delayed_ready, delayed_messages, later)
    bury(dead, dead_messages, now - tonumber(ARGV[3]))
    redis.call("PEXPIRE", done, lease * 10)
    local first = redis.call("ZRANGE", later, 0, 0, "WITHSCORES")
    if redis.call("LLEN", ready) > 0 or (first[2] and tonumber(first[2]) <= now + lease) then
        ring(bell)
    end
end

-- This worker has renewed just now, so of the two oldest that live one is another, if there is any.
local function next_end(workers)
    local living = redis.call("ZRANGEBYSCORE", workers, now - lease, "+inf", "WITHSCORES", "LIMIT", 0, 2)
    local at = living[1] == ARGV[1] and 3 or 1
    return living[at] and tonumber(living[at + 1]) + lease + 1 - now
end

local beat = tonumber(redis.call("ZSCORE", KEYS[1], ARGV[1]))
renewed(KEYS[1])
local forgotten = now - math.max(FORGOTTEN, 2 * lease)
for _, worker in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", forgotten, "LIMIT", 0, BATCH)) do
    redis.call("ZREM", KEYS[1], worker)
end
local first_end, bereft, fences = -1, {}, {}
for place = 0, #ARGV - 4 do
    local queue = { unpack(KEYS, 2 + 10 * place, 11 + 10 * place) }
    look_after(unpack(queue))
    if redis.call("ZCOUNT", queue[1], "-inf", "(" .. now - lease) > 0 then
        bereft[#bereft + 1] = ARGV[4 + place]
    end
    local ends = next_end(queue[1])
    if ends and (first_end < 0 or ends < first_end) then
        first_end = ends
    end
    fences[#fences + 1] = tonumber(redis.call("HGET", queue[10], "fence") or 0)
end
return { beat and math.max(0, now - beat) or -1, first_end, bereft, fences }
