-- Who is in which group. A membership stands in two sorted sets with the score 0, so each is in order of its bytes:
--   memberships       "group NUL node NUL uuid": the members of a group, by node; of those that are away, away_memberships
--   client_groups     "node NUL uuid NUL group": the groups of a client
-- Names of groups and nodes have no NUL.

-- The range of what begins with `prefix` and a NUL.
local function range_of(prefix)
    return "[" .. prefix .. "\0", "(" .. prefix .. "\1"
end

-- The nodes that members of a group are on, or were when they went away. The cost does not grow with the members.
local function nodes_of(memberships, group)
    local found = {}
    local from, beyond = range_of(group)
    while true do
        local entry = redis.call("ZRANGEBYLEX", memberships, from, beyond, "LIMIT", 0, 1)[1]
        if not entry then
            return found
        end
        local node = string.sub(entry, #group + 2, string.find(entry, "\0", #group + 2, true) - 1)
        found[#found + 1] = node
        from = "[" .. group .. "\0" .. node .. "\1"
    end
end
