-- Redis' own clock, in Unix milliseconds. On Redis 6 a script that reads it must replicate effects.
if redis.replicate_commands then redis.replicate_commands() end
local function redis_now()
    local time = redis.call("TIME")
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
