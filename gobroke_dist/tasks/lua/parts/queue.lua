-- The keys of one queue, from KEYS[first] on, in the order of scripts.queue_keys().
local QUEUE_KEYS = 11
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
    }
end

-- The head of a key is done: make the next of its lane that still has a payload the head, or free the key.
local function promote(queue, key, lane)
    while true do
        local id = redis.call("LPOP", lane)
        if not id then
            redis.call("HDEL", queue.heads, key)
            return
        end
        if redis.call("HEXISTS", queue.messages, id) == 1 then
            redis.call("HSET", queue.heads, key, id)
            redis.call("HSET", queue.keys, id, key)
            redis.call("RPUSH", queue.ready, id)
            ring(queue.bell)
            return
        end
    end
end
