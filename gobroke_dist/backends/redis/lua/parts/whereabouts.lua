-- Whether a registration is of some node, or of some session: `head` is what those begin with.
local function is_of(head, stored)
    return stored and string.sub(stored, 1, #head) == head
end

local function registration(clients, away, uuid)
    return redis.call("HGET", clients, uuid) or redis.call("HGET", away, uuid)
end

local function name_in(stored)
    return string.match(stored, '^{"node":(".-"),"session":"')
end

-- The node that a registration names.
local function node_of(stored)
    return cjson.decode("[" .. name_in(stored) .. "]")[1]
end

-- Whether a member's lease is running.
local function is_living(members, node, now)
    local lease_end = redis.call("ZSCORE", members, node)
    return lease_end and tonumber(lease_end) > now
end

local known = {}
-- The same of the node that a registration names; for many of them, each node is looked up once.
local function is_on_living(members, stored, now)
    local name = name_in(stored)
    if known[name] == nil then
        known[name] = is_living(members, node_of(stored), now)
    end
    return known[name]
end

-- A client is gone: if it may come back, it is away, and its registration is kept until then.
local function wait_for(secrets, away, away_until, uuid, stored, too_late)
    if redis.call("HEXISTS", secrets, uuid) == 1 then
        redis.call("HSET", away, uuid, stored)
        redis.call("ZADD", away_until, too_late, uuid)
    end
end
