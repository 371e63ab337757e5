--#include clock bell deliveries queue place settle
-- Moves a message to the dead letters. Then the next of its key is made ready, or its key waits for an operator.
-- KEYS, ARGV, returns: parts/settle.lua; in place of the delay: 0 go on, 1 halt the key, 2 halt the whole logic.
-- Atomic because: the next of the key may start only when this one is dead, and never when the key is to wait.
local found = standing()
if found ~= "held" then
    return { found, 0 }
end
local there, halts = redis.call("HEXISTS", own.messages, id) == 1, tonumber(ARGV[8])
let_go()
if there then
    redis.call("ZADD", KEYS[5], redis_now(), id)
    redis.call("HSET", KEYS[6], id, ARGV[7])
end
if there and halts == 2 then
    redis.call("HSET", own.counters, "halted", id)
end
if there and halts > 0 and keyed and redis.call("HGET", own.heads, ARGV[5]) == id then
    forget()
    redis.call("HSET", own.heads, ARGV[5], HALTED .. id)
    redis.call("HSET", own.halted, ARGV[5], id)
else
    remove()
end
return { found, carry_out_effects() }
