-- Moves ids back to the front of the ready list, in the order in which they were fetched.
local function give_back(ids, acks, ready, fences, bell)
    local found = {}
    for _, id in ipairs(ids) do
        found[#found + 1] = { id, tonumber(redis.call("HGET", fences, id) or "0") }
    end
    table.sort(found, function(a, b)
        return a[2] > b[2] or (a[2] == b[2] and a[1] > b[1])
    end)
    for _, one in ipairs(found) do
        redis.call("SREM", acks, one[1])
        redis.call("HDEL", fences, one[1])
        redis.call("LPUSH", ready, one[1])
    end
    if #found > 0 then
        ring(bell)
    end
end
