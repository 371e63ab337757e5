-- Joining and leaving groups. Needs parts/memberships.lua and parts/changes.lua. Their six keys stand together
-- (`ClusterKeys.groups`).

local function groups_at(first)
    return {
        memberships = KEYS[first],
        away = KEYS[first + 1],
        client_groups = KEYS[first + 2],
        changes = changes_at(first + 3),
    }
end

local function note_joined(groups, group, uuid)
    -- Who is back in time has not been away.
    if grace_of(groups.changes) and redis.call("ZREM", groups.changes.absent, group .. "\0" .. uuid) == 0 then
        note(groups.changes, "joined", group, uuid)
    end
end

local function note_gone(groups, group, uuid)
    local grace = grace_of(groups.changes)
    if grace then
        redis.call("ZADD", groups.changes.absent, redis_now() + grace, group .. "\0" .. uuid)
    end
end

-- Puts a client of a node into a group; who is away is a member when it is back. Returns whether it was not in it.
local function join(groups, group, node, uuid, is_away)
    local memberships = is_away and groups.away or groups.memberships
    redis.call("ZADD", memberships, 0, group .. "\0" .. node .. "\0" .. uuid)
    local is_new = redis.call("ZADD", groups.client_groups, 0, node .. "\0" .. uuid .. "\0" .. group) == 1
    if is_new and not is_away then
        note_joined(groups, group, uuid)
    end
    return is_new
end

-- Returns whether it was a member, and not away.
local function remove(groups, group, node, uuid)
    local entry = group .. "\0" .. node .. "\0" .. uuid
    redis.call("ZREM", groups.client_groups, node .. "\0" .. uuid .. "\0" .. group)
    redis.call("ZREM", groups.away, entry)
    return redis.call("ZREM", groups.memberships, entry) == 1
end

-- Takes a client of a node out of a group, also one that is away. Returns whether it was in it.
local function leave(groups, group, node, uuid)
    local was_in = redis.call("ZSCORE", groups.client_groups, node .. "\0" .. uuid .. "\0" .. group)
    local was_there = remove(groups, group, node, uuid)
    if was_in and grace_of(groups.changes) then
        if redis.call("ZREM", groups.changes.absent, group .. "\0" .. uuid) == 1 or was_there then
            note(groups.changes, "left", group, uuid)
        end
    end
    return was_in
end

local function groups_of(groups, node, uuid)
    local client, found = node .. "\0" .. uuid, {}
    for _, entry in ipairs(redis.call("ZRANGEBYLEX", groups.client_groups, range_of(client))) do
        local group = string.sub(entry, #client + 2)
        if not string.find(group, "\0", 1, true) then -- else it is another client's, whose uuid has a NUL
            found[#found + 1] = group
        end
    end
    return found
end

-- A client of a node is gone: it is in no group any more. Returns in how many it was.
local function leave_all(groups, node, uuid)
    local found = groups_of(groups, node, uuid)
    for _, group in ipairs(found) do
        if remove(groups, group, node, uuid) then
            note_gone(groups, group, uuid)
        end
    end
    return #found
end

-- A client of a node is away: it is still sent what is sent to its groups, and nobody sees it in them. Returns in how many
-- it is.
local function step_out(groups, node, uuid)
    local found = groups_of(groups, node, uuid)
    for _, group in ipairs(found) do
        local entry = group .. "\0" .. node .. "\0" .. uuid
        redis.call("ZADD", groups.away, 0, entry)
        if redis.call("ZREM", groups.memberships, entry) == 1 then
            note_gone(groups, group, uuid)
        end
    end
    return #found
end

-- A client that was on a node, or away from it, is on another one, or back. Returns its groups.
local function step_in(groups, before, node, uuid)
    local found = groups_of(groups, before, uuid)
    for _, group in ipairs(found) do
        local was_there = remove(groups, group, before, uuid)
        redis.call("ZADD", groups.memberships, 0, group .. "\0" .. node .. "\0" .. uuid)
        redis.call("ZADD", groups.client_groups, 0, node .. "\0" .. uuid .. "\0" .. group)
        if not was_there then
            note_joined(groups, group, uuid)
        end
    end
    return found
end
