-- What commit, retry and reject have in common.
--
-- KEYS: 1 acks, 2 done, 3 deliveries, 4 lane, 5 dead, 6 dead_messages, 7-18 the message's queue,
--       then 12 for each queue that the effects enqueue on, then one lane for each enqueued message
-- ARGV: 1 id, 2 fence, 3 slot, 4 keyed, 5 key, 6 dedup window (ms), 7 payload, 8 delay (ms), then the effects:
--       "p", channel, data | "e", index of the queue's first key, id, payload, delay, keyed, key, index of the lane
-- Returns {standing, duplicates}: "held": done now; "done": this very call was carried out before, and its
--       reply was lost; "stale": the delivery was taken from this worker, nothing was done.
local own = queue_at(7)
local id, fence, keyed = ARGV[1], ARGV[2], ARGV[4] == "1"

local function standing()
    -- The fence alone would do, if the counter could not go back: a Redis restored from an older state has one.
    if redis.call("HGET", own.fences, id) == fence and redis.call("SISMEMBER", KEYS[1], id) == 1 then
        return "held"
    end
    return redis.call("HGET", KEYS[2], ARGV[3]) == fence and "done" or "stale"
end

-- SREM comes first: Redis lets a script whose first write needs no memory finish when memory is full.
local function let_go()
    redis.call("SREM", KEYS[1], id)
    redis.call("HDEL", own.fences, id)
    redis.call("HSET", KEYS[2], ARGV[3], fence)
end

local function forget()
    redis.call("HDEL", own.messages, id)
    forget_deliveries(KEYS[3], id)
    if keyed then
        redis.call("HDEL", own.keys, id)
    end
end

local function remove()
    forget()
    if keyed then
        if redis.call("HGET", own.heads, ARGV[5]) == id then
            promote(own, ARGV[5], KEYS[4])
        end
    end
end

local function carry_out_effects()
    local now, window, duplicates, at = redis_now(), tonumber(ARGV[6]), 0, 9
    while ARGV[at] do
        if ARGV[at] == "p" then
            redis.call("PUBLISH", ARGV[at + 1], ARGV[at + 2])
            at = at + 3
        else
            local queue = queue_at(tonumber(ARGV[at + 1]))
            turn_window(queue, window, now)
            if not place(queue, at + 2, window, now) then
                duplicates = duplicates + 1
            end
            at = at + 2 + PLACE_ARGS
        end
    end
    return duplicates
end
