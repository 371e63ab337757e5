--#include post whereabouts
-- Lets a client come back who shows a secret, and says where its numbers begin.
--
-- KEYS: 1-5 the clients' places, 6 posts
-- ARGV: 1 the client's uuid, 2 what its session's registration starts with, 3 the hash of its secret, of 64 characters, 4 the
--       session's node, 5 the session
-- Returns {epoch, number of the last datum of all}, or {} when the client is not this session's any more
-- Atomic because: the client may be taken over between looking and writing.
local places = places_at(1)
if not is_of(ARGV[2], redis.call("HGET", places.clients, ARGV[1])) then
    return {}
end
local numbers = redis.call("HMGET", KEYS[6], "#epoch", "#")
local epoch, number = numbers[1] or new_epoch(KEYS[6]), numbers[2] or "0"
if not is_of(ARGV[3], redis.call("HGET", places.secrets, ARGV[1])) then
    local record = { hash = ARGV[3], sessions = { ARGV[5] }, homes = { number .. " " .. ARGV[4] } }
    redis.call("HSET", places.secrets, ARGV[1], written(record, 1))
end
return { epoch, tonumber(number) }
