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

-- Where all there is to know of clients' places stands: five keys from KEYS[first] on (`ClusterKeys.places`).
local function places_at(first)
    return {
        members = KEYS[first], -- ZSET  node -> lease end, ms of this server's clock
        clients = KEYS[first + 1], -- HASH  uuid -> registration
        secrets = KEYS[first + 2], -- HASH  uuid -> what a client comes back with, if it may
        away = KEYS[first + 3], -- HASH  uuid -> registration of who may come back
        away_until = KEYS[first + 4], -- ZSET  uuid -> ms of this server's clock
    }
end

-- The registration of a client that is connected; if it may come back, also of one that is waited for. Else false.
local function find(places, uuid, now, with_away)
    local stored = redis.call("HGET", places.clients, uuid)
    if stored then
        local there = is_on_living(places.members, stored, now)
        return (there or with_away and redis.call("HEXISTS", places.secrets, uuid) == 1) and stored
    end
    local too_late = with_away and redis.call("ZSCORE", places.away_until, uuid)
    return too_late and tonumber(too_late) > now and redis.call("HGET", places.away, uuid)
end

-- A client is gone: if it may come back, it is away, and its registration is kept until then.
local function wait_for(places, uuid, stored, too_late)
    if redis.call("HEXISTS", places.secrets, uuid) == 1 then
        redis.call("HSET", places.away, uuid, stored)
        redis.call("ZADD", places.away_until, too_late, uuid)
    end
end

local function no_longer_away(places, uuid)
    redis.call("HDEL", places.away, uuid)
    redis.call("ZREM", places.away_until, uuid)
end
