-- Sends data to clients. Needs parts/post.lua, parts/whereabouts.lua and parts/memberships.lua.

-- Publishes a datum to each node where some clients are, or are waited for, or members of some groups: once, whatever the
-- number of its clients there. Which nodes those are is found out here, so their logs are not in KEYS; one hash tag holds
-- them all.
--   first: of KEYS: posts, the clients' places, memberships, away_memberships (`ClusterKeys.sending`)
--   at: of ARGV: what the names of the nodes' channels begin with, what those of their logs begin with, how many data a log
--       keeps, for how long (ms), the datum, how many uuids, how many groups, then those
-- Returns the uuids that are nowhere, and where in ARGV it ended.
local function send(first, at, now)
    local posts, places, gone, nodes, told = KEYS[first], places_at(first + 1), {}, {}, {}
    local name, log, most, kept, data = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local last_uuid = at + 6 + tonumber(ARGV[at + 5])
    local last = last_uuid + tonumber(ARGV[at + 6])
    local function tell(node)
        if not told[node] then
            told[node] = true
            nodes[#nodes + 1] = node
        end
    end
    for index = at + 7, last_uuid do
        -- Its node's lease may have run out: while Redis was away, nobody could renew any.
        local stored = redis.call("HGET", places.clients, ARGV[index]) or waited_for(places, ARGV[index], now)
        if stored then
            tell(node_of(stored))
        else
            gone[#gone + 1] = ARGV[index]
        end
    end
    for index = last_uuid + 1, last do
        for set = first + 6, first + 7 do
            for _, node in ipairs(nodes_of(KEYS[set], ARGV[index])) do
                tell(node)
            end
        end
    end
    local flag = (#nodes > 1 or #gone > 0) and "1" or "0"
    for _, node in ipairs(nodes) do
        post(posts, log .. node, node, name .. node, most, kept, flag .. data)
    end
    return gone, last + 1
end
