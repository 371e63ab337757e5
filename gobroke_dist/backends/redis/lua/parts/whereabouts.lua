-- Whether a client is on a node, or is waited for there. `head`: what the registrations of a node's clients begin with.
local function is_on(head, stored)
    return stored and string.sub(stored, 1, #head) == head
end

local function registration(clients, away, uuid)
    return redis.call("HGET", clients, uuid) or redis.call("HGET", away, uuid)
end

-- The node that a registration names.
local function node_of(stored)
    return cjson.decode("[" .. string.match(stored, '^{"node":(".-"),"session":"') .. "]")[1]
end
