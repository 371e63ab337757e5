--#include clock whereabouts
-- Moves a client that shows its secret to another session, from wherever it was.
--
-- KEYS: 1-5 the clients' places, 6 last_messages, 7 node_clients of the new session's node, 8 posts
-- ARGV: 1 the new session's node, 2 the client's uuid, 3 its new registration, 4 the hash of the secret that it shows, of
--       64 characters, 5 its last message, Unix ms; 6 on how many nodes it may have been, at most: of more, the first are
--       forgotten
-- Returns {"back", its registration until now, lines "number node" of the nodes that it was on (keep.lua), epoch, number
--         of the last datum of all}, {"unknown"}: nobody waits for this client with this secret, or {"expired"}: the new
--         session's own node has no lease
-- Atomic because: what is sent to the client before this step is in the log of where it was, what is sent after it goes to
--       where it is; of two connections that come back at once, the later one has it.
local places, now = places_at(1), redis_now()
if not is_living(places.members, ARGV[1], now) then
    return { "expired" }
end
local stored, kept = find(places, ARGV[2], now, true), redis.call("HGET", places.secrets, ARGV[2])
if not stored or not is_of(ARGV[4], kept) then
    return { "unknown" }
end
no_longer_away(places, ARGV[2])
redis.call("HSET", places.clients, ARGV[2], ARGV[3])
redis.call("HSET", KEYS[6], ARGV[2], ARGV[5])
redis.call("SADD", KEYS[7], ARGV[2])
local numbers = redis.call("HMGET", KEYS[8], "#epoch", "#")
local number, lines, homes = numbers[2] or "0", string.sub(kept, #ARGV[4] + 2), {}
for line in string.gmatch(lines, "[^\n]+") do
    homes[#homes + 1] = line
end
if string.match(homes[#homes], " (.*)$") ~= ARGV[1] then
    homes[#homes + 1] = number .. " " .. ARGV[1]
    if #homes > tonumber(ARGV[6]) then
        table.remove(homes, 1)
    end
    redis.call("HSET", places.secrets, ARGV[2], ARGV[4] .. "\n" .. table.concat(homes, "\n"))
end
return { "back", stored, lines, numbers[1] or "", tonumber(number) }
