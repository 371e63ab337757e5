--#include clock bell deliveries queue place settle
-- Puts a failed message off. Its key stays taken, so that what comes after it waits.
-- KEYS, ARGV, returns: parts/settle.lua.
-- Atomic because: the message must be running or waiting, and never in between.
local found = standing()
if found ~= "held" then
    return { found, 0 }
end
let_go()
if redis.call("HDEL", own.messages, id) == 0 then
    remove() -- somebody deleted it while it ran
elseif keyed and redis.call("LINDEX", KEYS[4], 0) == PAUSED then
    redis.call("HSET", own.messages, id, ARGV[7])
    put_first(own, ARGV[5], KEYS[4], id)
else
    redis.call("HSET", own.delayed, id, ARGV[7])
    hold_until(own, id, redis_now() + tonumber(ARGV[8]))
end
return { found, carry_out_effects() }
