--#include clock bell queue place settle
-- Moves a message to the dead letters and makes the next of its key ready.
-- KEYS, ARGV, returns: parts/settle.lua; the delay is not used.
-- Atomic because: the next of the key may start only when this one is dead, and a message is never in neither place.
local found = standing()
if found ~= "held" then
    return { found, 0 }
end
local there = redis.call("HEXISTS", own.messages, id)
let_go()
if there == 1 then
    redis.call("ZADD", KEYS[5], redis_now(), id)
    redis.call("HSET", KEYS[6], id, ARGV[7])
end
remove()
return { found, carry_out_effects() }
