-- Whether a registration is of some node, or of some session: `head` is what those begin with.
local function is_of(head, stored)
    return stored and string.sub(stored, 1, #head) == head
end

local function registration(clients, away, uuid)
    return redis.call("HGET", clients, uuid) or redis.call("HGET", away, uuid)
end

-- The name as JSON, from its first quote to its last. In JSON, no quote within it is followed by what is looked for.
local function name_in(stored)
    return string.sub(stored, #'{"node":"', (string.find(stored, '","session":"', #'{"node":"', true)))
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

-- The registration of a client that is away and may still come back. Else false.
local function waited_for(places, uuid, now)
    local too_late = redis.call("ZSCORE", places.away_until, uuid)
    return too_late and tonumber(too_late) > now and redis.call("HGET", places.away, uuid)
end

-- The registration of a client that is connected; if it may come back, also of one that is waited for. Else false.
local function find(places, uuid, now, with_away)
    local stored = redis.call("HGET", places.clients, uuid)
    if stored then
        local there = is_on_living(places.members, stored, now)
        return (there or with_away and redis.call("HEXISTS", places.secrets, uuid) == 1) and stored
    end
    return with_away and waited_for(places, uuid, now)
end

-- A client is gone: if it may come back, it is away, and its registration is kept until then. Returns whether it is.
local function wait_for(places, uuid, stored, too_late)
    local waits = redis.call("HEXISTS", places.secrets, uuid) == 1
    if waits then
        redis.call("HSET", places.away, uuid, stored)
        redis.call("ZADD", places.away_until, too_late, uuid)
    end
    return waits
end

-- Returns whether it was.
local function no_longer_away(places, uuid)
    redis.call("ZREM", places.away_until, uuid)
    return redis.call("HDEL", places.away, uuid) == 1
end

-- What is kept of a client that may come back: lines with the hash of its secret, its sessions, and then for each node that
-- it was on "number node": from which number on it was there.
local function read_record(text)
    local lines = {}
    for line in string.gmatch(text .. "\n", "([^\n]*)\n") do
        lines[#lines + 1] = line
    end
    local sessions = {}
    for session in string.gmatch(lines[2], "[^ ]+") do
        sessions[#sessions + 1] = session
    end
    return { hash = lines[1], sessions = sessions, homes = { unpack(lines, 3) } }
end

-- The same as text, with the last of its sessions and its nodes, at most so many of each.
local function written(record, most)
    local sessions = table.concat(record.sessions, " ", math.max(1, #record.sessions - most + 1))
    local homes = table.concat(record.homes, "\n", math.max(1, #record.homes - most + 1))
    return record.hash .. "\n" .. sessions .. "\n" .. homes
end

-- Whether a client that is there, or away, had this session before it came back.
local function was_its_session(places, uuid, session)
    local kept = redis.call("HGET", places.secrets, uuid)
    for _, one in ipairs(kept and read_record(kept).sessions or {}) do
        if one == session then
            return true
        end
    end
    return false
end
