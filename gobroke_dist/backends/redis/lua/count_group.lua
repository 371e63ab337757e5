--#include clock whereabouts memberships
-- Counts the members of a group, without those of dead nodes.
--
-- KEYS: 1 members, 2 memberships
-- ARGV: 1 the group
-- Returns how many; the cost does not grow with their number
-- Atomic because: leases are judged by this server's clock, at the instant of counting.
local now, count = redis_now(), 0
for _, node in ipairs(nodes_of(KEYS[2], ARGV[1])) do
    if is_living(KEYS[1], node, now) then
        count = count + redis.call("ZLEXCOUNT", KEYS[2], range_of(ARGV[1] .. "\0" .. node))
    end
end
return count
