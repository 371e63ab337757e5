-- One element is enough: whoever takes it fetches, and rings again if something is left.
local function ring(bell)
    if redis.call("LLEN", bell) == 0 then
        redis.call("RPUSH", bell, "1")
    end
end

-- What this call has made ready of the queue that it takes from afterwards: {id, payload, key} of each, in order. It
-- need not go by the ready list, and the bell need not be rung for it. Of other queues, nothing is at hand.
local attended, at_hand

local function is_attended(bell)
    return bell == attended
end
