if redis.replicate_commands then redis.replicate_commands() end

-- Numbers are of one epoch. A new one begins where Redis has lost those of the last.
local function new_epoch(posts)
    local time = redis.call("TIME")
    local epoch = time[1] .. "." .. time[2]
    redis.call("HSET", posts, "#epoch", epoch)
    return epoch
end

-- Numbers a datum in the order of all channels, keeps it in the channel's log for those that miss it, and publishes it:
-- a byte 2, then "epoch number previous\n", then the datum; previous: the number of the channel's datum before it.
-- `data` begins with a byte: "1" if those of its clients that are not there have it from elsewhere, else "0".
-- HDEL comes first: Redis lets a script whose first write needs no memory finish when memory is full. The log is bounded.
-- Returns how many listen.
local function post(posts, log, field, channel, most, kept, data)
    redis.call("HDEL", posts, "")
    local known = redis.call("HMGET", posts, "#epoch", field)
    local epoch, previous = known[1] or new_epoch(posts), known[2] or "0"
    local number = redis.call("HINCRBY", posts, "#", 1)
    if previous == "0" then
        redis.call("DEL", log) -- of an epoch that nobody remembers: its numbers could be larger
    end
    redis.call("HSET", posts, field, number)
    redis.call("XADD", log, "MAXLEN", "~", most, number .. "-1", "p", previous, "d", data)
    redis.call("PEXPIRE", log, kept)
    return redis.call("PUBLISH", channel, "\2" .. epoch .. " " .. number .. " " .. previous .. "\n" .. data)
end
