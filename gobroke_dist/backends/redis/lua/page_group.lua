--#include clock whereabouts memberships
-- Reads a part of the members of a group, without those of dead nodes.
--
-- KEYS: 1 members, 2 clients, 3 last_messages, 4 memberships
-- ARGV: 1 the group, 2 the cursor, "" at first, 3 how many at most
-- Returns {the next cursor, "" after the last part, {for each member three: uuid, registration, Unix ms}}
-- Atomic because: membership, client and lease must be of one instant, and the clock is this server's.
local now, lives = redis_now(), {}
local function living(node)
    if lives[node] == nil then
        lives[node] = is_living(KEYS[1], node, now)
    end
    return lives[node]
end

local from, beyond = range_of(ARGV[1])
if ARGV[2] ~= "" then
    from = "(" .. ARGV[1] .. "\0" .. ARGV[2]
end
local part = redis.call("ZRANGEBYLEX", KEYS[4], from, beyond, "LIMIT", 0, ARGV[3])
local found, cursor = {}, ""
for _, entry in ipairs(part) do
    cursor = string.sub(entry, #ARGV[1] + 2)
    local node_end = string.find(cursor, "\0", 1, true)
    local uuid = string.sub(cursor, node_end + 1)
    if living(string.sub(cursor, 1, node_end - 1)) then
        found[#found + 1] = uuid
        found[#found + 1] = redis.call("HGET", KEYS[2], uuid)
        found[#found + 1] = redis.call("HGET", KEYS[3], uuid) or "0"
    end
end
return { #part < tonumber(ARGV[3]) and "" or cursor, found }
