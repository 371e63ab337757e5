-- Takes a client for away that has lost its connection, if it may come back; else forgets it.
--
-- KEYS[1]  clients        HASH  uuid -> registration
-- KEYS[2]  last_messages  HASH  uuid -> Unix ms
-- KEYS[3]  node_clients of the session's node, SET of uuids
-- KEYS[4]  secrets        HASH  uuid -> what a client comes back with, if it may
-- KEYS[5]  away           HASH  uuid -> registration
-- KEYS[6]  away_until     ZSET  uuid -> ms of this server's clock
-- ARGV[1]  the client's uuid
-- ARGV[2]  what the session's registration starts with
-- ARGV[3]  for how long it may come back, ms
-- Returns 1 if this very session was the one known, else 0
--
-- Atomic: the client may connect elsewhere between looking and removing; and from one step to the next, what is sent to
--         it must have a place.

if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or string.sub(stored, 1, #ARGV[2]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 then
  redis.call('HSET', KEYS[5], ARGV[1], stored)
  redis.call('ZADD', KEYS[6], now + tonumber(ARGV[3]), ARGV[1])
end
return 1
