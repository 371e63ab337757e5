-- Sends data to clients. Needs parts/post.lua and parts/whereabouts.lua.

-- Publishes a datum to each node where some of these clients are, or are waited for: once, whatever the number of its
-- clients there. Which nodes those are is found out here, so their logs are not in KEYS; one hash tag holds them all.
-- `channels` has what the names of the nodes' channels and logs begin with, how many data a log keeps, and how long (ms).
-- The uuids are those from ARGV[first] to ARGV[last]. Returns those that are nowhere.
local function send(posts, places, channels, first, last, data, now)
    local nodes, gone, told = {}, {}, {}
    for at = first, last do
        local stored = find(places, ARGV[at], now, true)
        local node = stored and node_of(stored)
        if not node then
            gone[#gone + 1] = ARGV[at]
        elseif not told[node] then
            told[node] = true
            nodes[#nodes + 1] = node
        end
    end
    local flag = (#nodes > 1 or #gone > 0) and "1" or "0"
    for _, node in ipairs(nodes) do
        local log, name = channels.log .. node, channels.name .. node
        post(posts, log, node, name, channels.most, channels.kept, flag .. data)
    end
    return gone
end
