-- Redis' own clock, in Unix milliseconds. On Redis 6 a script that reads it must replicate effects.
redis.replicate_commands()
local function redis_now()
    local time = redis.call("TIME")
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
