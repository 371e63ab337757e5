--#include clock bell deliveries return
-- Takes one queue's messages from workers whose lease ran out, up to a number, and says which others there are. Safe
-- for any number of rescuers. A worker leaves the queue's list once it holds none of the queue's messages; one that
-- turns out to be alive goes to its place in the list.
--
-- What had started counts as an attempt, what had only been fetched does not. Starts are noted only for messages that
-- were recovered before or are at their last attempt. Of the others, those count that were fetched first, as many as
-- the process could run at once: it starts messages in the order in which it fetched them.
--
-- KEYS: 1 heartbeats, 2 workers, 3 ready, 4 fences, 5 deliveries, 6 bell, 7 later, then for each worker: acks, done
-- ARGV: 1 lease (ms), then the workers
-- Returns {how many messages were taken, workers whose lease ran out and that are in the list now, at most 100}
-- Atomic because: the lease must still be out when the fences go, and an id is never in neither place.
local WORKERS, MESSAGES = 100, 100 -- of one call, so that it never holds Redis up for long
local APART = 250 -- ms; what may have killed a process comes back one by one, so that the others are not killed again
local SPREAD = 2000 -- ms, for all of them
local now, lease = redis_now(), tonumber(ARGV[1])
redis.call("ZREM", KEYS[2], "") -- a first write that needs no memory
local taken, suspects = 0, {}

-- Whether a message is known to have been running when its worker died.
local function had_started(id, fence)
    return tonumber(redis.call("HGET", KEYS[5], id .. STARTED)) == fence
end

local function suspect(id, acks)
    if tonumber(redis.call("HGET", KEYS[5], id .. RECOVERED) or 0) % 2 == 0 then
        redis.call("HINCRBY", KEYS[5], id .. RECOVERED, 1)
    end
    redis.call("SREM", acks, id)
    redis.call("HDEL", KEYS[4], id)
    suspects[#suspects + 1] = id
end

-- Those fetched last go first: the place of the others is still right when they go with the next call.
local function take(acks, done)
    local threads = tonumber(redis.call("HGET", done, "threads") or math.huge)
    local held, unsuspected = in_order(redis.call("SMEMBERS", acks), KEYS[4]), {}
    local first = math.max(1, #held - (MESSAGES - taken) + 1)
    for place = first, #held do
        local id, fence = held[place][1], held[place][2]
        if had_started(id, fence) then
            suspect(id, acks)
        else
            local charged = place <= threads and not redis.call("HGET", KEYS[5], id .. RECOVERED)
            redis.call("HINCRBY", KEYS[5], id .. RECOVERED, charged and 0 or 2)
            unsuspected[#unsuspected + 1] = held[place]
        end
    end
    give_back(unsuspected, acks, KEYS[3], KEYS[4], KEYS[6])
    taken = taken + #held - first + 1
    return first == 1
end

for at = 2, #ARGV do
    local worker, acks, done = ARGV[at], KEYS[4 + 2 * at], KEYS[5 + 2 * at]
    local beat = tonumber(redis.call("ZSCORE", KEYS[1], worker))
    if beat and beat >= now - lease then
        redis.call("ZADD", KEYS[2], "XX", beat, worker)
    elseif redis.call("SCARD", acks) == 0 or take(acks, done) then
        redis.call("ZREM", KEYS[2], worker)
        redis.call("ZREM", KEYS[1], worker) -- elsewhere it counts as dead without
    end
    if taken == MESSAGES then
        break
    end
end

local apart = math.min(APART, math.min(SPREAD, lease / 8) / #suspects)
for number, id in ipairs(suspects) do
    redis.call("ZADD", KEYS[7], now + math.floor(apart * (number - 1)), id)
end
if #suspects > 0 then
    ring(KEYS[6])
end
return { taken, redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", "(" .. now - lease, "LIMIT", 0, WORKERS) }
