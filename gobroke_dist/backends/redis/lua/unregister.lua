--#include clock whereabouts
-- Lets a client go, if this very session is the one known: it is forgotten, or, if it may come back, away.
--
-- KEYS[1]  clients        HASH  uuid -> registration
-- KEYS[2]  last_messages  HASH  uuid -> Unix ms
-- KEYS[3]  node_clients of the session's node, SET of uuids
-- KEYS[4]  secrets        HASH  uuid -> what a client comes back with, if it may
-- KEYS[5]  away           HASH  uuid -> registration
-- KEYS[6]  away_until     ZSET  uuid -> ms of this server's clock
-- ARGV[1]  the client's uuid
-- ARGV[2]  what the session's registration starts with
-- ARGV[3]  for how long it may come back, ms; 0: it does not
-- Returns 1 if it was, else 0
--
-- Atomic: the client may connect elsewhere between looking and removing; and from one step to the next, what is sent to
--         one that may come back must have a place.

local stored, window = redis.call('HGET', KEYS[1], ARGV[1]), tonumber(ARGV[3])
if not is_of(ARGV[2], stored) then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
if window > 0 then
  wait_for(KEYS[4], KEYS[5], KEYS[6], ARGV[1], stored, redis_now() + window)
else
  redis.call('HDEL', KEYS[4], ARGV[1])
end
return 1
