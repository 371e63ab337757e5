--#include clock post whereabouts memberships changes joining
-- Moves a client that shows its secret to another session, from wherever it was.
--
-- KEYS: 1-5 the clients' places, 6 last_messages, 7 node_clients of the new session's node, 8-13 the groups, 14 posts, 15 log
--       of the channel of that node
-- ARGV: 1 the new session's node, 2 the client's uuid, 3 its new registration, 4 the hash of the secret that it shows, of
--       64 characters, 5 its last message, Unix ms; 6 how many sessions it may have had, and on how many nodes it may have
--       been, at most: of more, the first are forgotten; 7 the new session; then of the channel of its node: 8 its field in
--       posts, 9 its name, 10 how many data its log keeps, 11 for how long (ms); 12 until when this may be done, ms of this
--       server's clock
-- Returns {"back", its registration until now, what is kept of it (keep.lua), epoch, number of the last datum of all, its
--         groups}, {"unknown"}: nobody waits for this client with this secret, or {"expired"}: the new session's own node has
--         no lease, or does not wait for this any more
-- Atomic because: what is sent to the client before this step is in the log of where it was, what is sent after it goes to
--       where it is; of two connections that come back at once, the later one has it. And its node hears of its groups
--       before it gets what is sent to them.
local places, now = places_at(1), redis_now()
-- What a server that stood still finds in its sockets is old: the client may be elsewhere since.
if not is_living(places.members, ARGV[1], now) or now > tonumber(ARGV[12]) then
    return { "expired" }
end
local stored, kept = find(places, ARGV[2], now, true), redis.call("HGET", places.secrets, ARGV[2])
if not stored or not is_of(ARGV[4], kept) then
    return { "unknown" }
end
redis.call("HSET", places.clients, ARGV[2], ARGV[3])
redis.call("HSET", KEYS[6], ARGV[2], ARGV[5])
redis.call("SADD", KEYS[7], ARGV[2])
no_longer_away(places, ARGV[2])
local numbers = redis.call("HMGET", KEYS[14], "#epoch", "#")
local number, most, record = numbers[2] or "0", tonumber(ARGV[6]), read_record(kept)
record.sessions[#record.sessions + 1] = ARGV[7]
if string.match(record.homes[#record.homes], " (.*)$") ~= ARGV[1] then
    record.homes[#record.homes + 1] = number .. " " .. ARGV[1]
end
redis.call("HSET", places.secrets, ARGV[2], written(record, most))
local names = step_in(groups_at(8), node_of(stored), ARGV[1], ARGV[2])
if #names > 0 then
    local news = cjson.encode({ client = ARGV[2], session = ARGV[7], groups = names })
    post(KEYS[14], KEYS[15], ARGV[8], ARGV[9], ARGV[10], ARGV[11], "0" .. news)
end
return { "back", stored, kept, numbers[1] or "", tonumber(number), names }
