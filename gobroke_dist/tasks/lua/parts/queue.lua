-- The keys of one queue, from KEYS[first] on, in the order of scripts.queue_keys().
local QUEUE_KEYS = 12
local function queue_at(first)
    return {
        ready = KEYS[first],
        messages = KEYS[first + 1],
        delayed = KEYS[first + 2],
        heads = KEYS[first + 3],
        keys = KEYS[first + 4],
        fences = KEYS[first + 5],
        later = KEYS[first + 6],
        counters = KEYS[first + 7],
        seen_new = KEYS[first + 8],
        seen_old = KEYS[first + 9],
        bell = KEYS[first + 10],
        halted = KEYS[first + 11],
    }
end

-- What stands in the place of a head, so that the key is taken and nothing of it runs. The first byte is in no UTF-8
-- text, and so begins no id. PAUSED also waits at the front of a lane, until the head before it is done.
local PAUSED, HALTED = "\255paused", "\255halted:"

local function is_mark(text)
    return string.byte(text) == 255
end

local function make_head(queue, key, id, payload, lane)
    redis.call("HSET", queue.heads, key, id)
    redis.call("HSET", queue.keys, id, key)
    if is_attended(queue.bell) then
        at_hand[#at_hand + 1] = { id, payload, key, lane = lane }
    else
        redis.call("RPUSH", queue.ready, id)
        ring(queue.bell)
    end
end

-- The head of a key is done: make the next of its lane that still has a payload the head, or free the key.
local function promote(queue, key, lane)
    while true do
        local id = redis.call("LPOP", lane)
        if not id then
            redis.call("HDEL", queue.heads, key)
            return
        end
        local payload = redis.call("HGET", queue.messages, id)
        if payload then
            make_head(queue, key, id, payload, lane)
            return
        end
        if id == PAUSED then
            redis.call("HSET", queue.heads, key, PAUSED)
            return
        end
    end
end

-- Gives a message, whose payload is stored, the place before all others of its key, whose head is gone.
local function put_first(queue, key, lane, id)
    if redis.call("LINDEX", lane, 0) == PAUSED then
        redis.call("LPOP", lane)
        redis.call("LPUSH", lane, id)
        redis.call("HDEL", queue.keys, id)
        redis.call("HSET", queue.heads, key, PAUSED)
    else
        make_head(queue, key, id, redis.call("HGET", queue.messages, id))
    end
end
