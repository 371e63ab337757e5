-- Ids with their fences, in the order in which they were fetched.
local function in_order(ids, fences)
    local found = {}
    for _, id in ipairs(ids) do
        found[#found + 1] = { id, tonumber(redis.call("HGET", fences, id) or "0") }
    end
    table.sort(found, function(a, b)
        return a[2] < b[2] or (a[2] == b[2] and a[1] < b[1])
    end)
    return found
end

-- Moves what `in_order` found to the front of the ready list, in its order.
local function give_back(found, acks, ready, fences, bell)
    for at = #found, 1, -1 do
        local id = found[at][1]
        redis.call("SREM", acks, id)
        redis.call("HDEL", fences, id)
        redis.call("LPUSH", ready, id)
    end
    if #found > 0 then
        ring(bell)
    end
end
