--#include bell return
-- Gives back what Redis handed to this worker and the worker never saw, because the reply was cut.
--
-- KEYS: 1 acks, 2 done, 3 ready, 4 fences, 5 deliveries, 6 bell
-- ARGV: 1 number of this call: exchanges and reclaims with a lower number that arrive later are refused; then the
--       ids it has
-- Returns how many were given back.
-- Atomic because: an id must be in the ready list or in a worker's acks, and never in between.
redis.call("HDEL", KEYS[4], "") -- a first write that needs no memory
-- A late one knows nothing of what was fetched since: it would give back what is running.
if tonumber(ARGV[1]) <= tonumber(redis.call("HGET", KEYS[2], "call") or "0") then
    return 0
end
redis.call("HSET", KEYS[2], "call", ARGV[1])
local has, lost = {}, {}
for at = 2, #ARGV do
    has[ARGV[at]] = true
end
for _, id in ipairs(redis.call("SMEMBERS", KEYS[1])) do
    if not has[id] then
        lost[#lost + 1] = id
        redis.call("HINCRBY", KEYS[5], id, -1)
    end
end
give_back(in_order(lost, KEYS[4]), KEYS[1], KEYS[3], KEYS[4], KEYS[6])
return #lost
