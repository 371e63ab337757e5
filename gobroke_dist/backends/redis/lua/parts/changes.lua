-- What changes in groups, for who wants to hear of it. Needs parts/clock.lua. It is noted for as long as somebody asks
-- (take_changes.lua), and some time longer, in three keys:
--   changes     HASH  "holder" -> the node that asks; "until" -> until when no other may, ms; "grace", ms; "number" of
--                     the last change
--   change_log  ZSET  "number NUL what NUL group NUL uuid", by number; what: "joined" or "left"
--   absent      ZSET  "group NUL uuid" of clients that have gone, by when they have left unless they are back, ms
local NOTED_AFTERWARDS_MS = 60000

local function changes_at(first)
    return { state = KEYS[first], log = KEYS[first + 1], absent = KEYS[first + 2] }
end

local function note(changes, what, group, uuid)
    local number = redis.call("HINCRBY", changes.state, "number", 1)
    redis.call("ZADD", changes.log, number, number .. "\0" .. what .. "\0" .. group .. "\0" .. uuid)
end

-- The grace in ms, or nil if nobody asks.
local function grace_of(changes)
    local state = redis.call("HMGET", changes.state, "until", "grace")
    local asked = state[1] and tonumber(state[1]) + NOTED_AFTERWARDS_MS > redis_now()
    return asked and tonumber(state[2]) or nil
end
