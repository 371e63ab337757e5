-- How often a message was delivered: a count for its id, and beside it two more fields. No id can look like one of
-- those: their last byte but one is in no UTF-8 text.
--   RECOVERED: 2 x the deliveries that ended before they started, + 1 if one of its deliveries is known to have
--              started and to have ended with its process
--   STARTED:   the fence of a delivery whose start was noted
local RECOVERED, STARTED = "\255r", "\255s"

local function forget_deliveries(deliveries, id)
    redis.call("HDEL", deliveries, id, id .. RECOVERED, id .. STARTED)
end

local function add_deliveries_of(fields, id)
    fields[#fields + 1] = id
    fields[#fields + 1] = id .. RECOVERED
    fields[#fields + 1] = id .. STARTED
end
