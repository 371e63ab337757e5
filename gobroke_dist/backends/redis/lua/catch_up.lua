--#include post
-- Reads what was published on some channels since numbers that a listener knows.
--
-- KEYS: 1 posts, then the log of each channel
-- ARGV: 1 the epoch of these numbers, "" for none, 2 how many data of each channel at most, then of each channel: its
--       field in posts, the number of the last datum that is known
-- Returns {epoch, 1 if another than that of the listener, of each channel {number of its last datum, {{"number-1",
--       {"p", number of the one before, "d", datum}}, ...}}}. Of another epoch all is read.
-- Atomic because: numbers and logs must be of one instant. A Redis that was restored from an older state knows smaller
--       numbers than its listeners, who would take new data for old ones: then another epoch begins, after what the log
--       has of the last one.
local fields, most = { "#epoch", "#from", "#" }, tonumber(ARGV[2])
for at = 3, #ARGV, 2 do
    fields[#fields + 1] = ARGV[at]
end
local known = redis.call("HMGET", KEYS[1], unpack(fields))
local function last_of(channel)
    return tonumber(known[channel + 3] or "0")
end

local epoch, from = known[1] or new_epoch(KEYS[1]), tonumber(known[2] or "0")
local other, older = ARGV[1] ~= "" and epoch ~= ARGV[1], false
for channel = 1, #KEYS - 1 do
    older = older or last_of(channel) < tonumber(ARGV[2 * channel + 2])
end
if older and not other then
    epoch, other, from = new_epoch(KEYS[1]), true, tonumber(known[3] or "0")
    redis.call("HSET", KEYS[1], "#from", from)
end

local found = { epoch, other and 1 or 0 }
for channel = 1, #KEYS - 1 do
    local since = other and from or tonumber(ARGV[2 * channel + 2])
    local data = {}
    if most > 0 and since < last_of(channel) then
        data = redis.call("XRANGE", KEYS[channel + 1], since + 1, "+", "COUNT", most)
    end
    found[channel + 2] = { last_of(channel), data }
end
return found
