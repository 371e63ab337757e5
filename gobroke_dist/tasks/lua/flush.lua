--#include bell deliveries queue
-- Drops what waits on a queue. What runs is left to finish, and dead letters are kept.
--
-- KEYS: 1 ready, 2 messages, 3 delayed_messages, 4 delayed_ready, 5 heads, 6 keys, 7 fences, 8 deliveries, 9 later,
--       10 bell, 11 paused, then the lanes of the ordering keys in ARGV
-- ARGV: every ordering key that was taken a moment ago
-- Returns 1; 0: another key was taken meanwhile, ask again with the new list.
-- Atomic because: a message that is accepted meanwhile must be dropped as a whole or kept as a whole.
local lanes = {}
for i, key in ipairs(ARGV) do
    lanes[key] = KEYS[11 + i]
end
local taken = redis.call("HGETALL", KEYS[5])
for i = 1, #taken, 2 do
    if not lanes[taken[i]] then
        return 0
    end
end
for i = 1, #taken, 2 do
    local key, head = taken[i], taken[i + 1]
    local paused = redis.call("SISMEMBER", KEYS[11], key) == 1
    redis.call("DEL", lanes[key])
    if is_mark(head) or redis.call("HEXISTS", KEYS[7], head) == 1 then
        if paused and head ~= PAUSED then
            redis.call("RPUSH", lanes[key], PAUSED)
        end
    else
        redis.call("HDEL", KEYS[5], key)
        redis.call("HDEL", KEYS[6], head)
        if paused then
            redis.call("HSET", KEYS[5], key, PAUSED)
        end
    end
end
for _, id in ipairs(redis.call("HKEYS", KEYS[2])) do
    if redis.call("HEXISTS", KEYS[7], id) == 0 then
        redis.call("HDEL", KEYS[2], id)
        forget_deliveries(KEYS[8], id)
    end
end
for _, id in ipairs(redis.call("HKEYS", KEYS[3])) do
    forget_deliveries(KEYS[8], id)
end
redis.call("DEL", KEYS[1], KEYS[3], KEYS[4], KEYS[9], KEYS[10])
return 1
