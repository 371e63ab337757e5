--#include clock
-- Forgets clients that did not come back in time, and the numbers of nodes that are gone for as long: at most so many.
--
-- KEYS[1]  clients     HASH  uuid -> registration
-- KEYS[2]  secrets     HASH  uuid -> what a client comes back with
-- KEYS[3]  away        HASH  uuid -> registration
-- KEYS[4]  away_until  ZSET  uuid -> ms of this server's clock
-- KEYS[5]  retired     ZSET  node -> when the last of its clients was removed, ms
-- KEYS[6]  posts       HASH  channel -> number of its last datum
-- ARGV[1]  how many at most
-- ARGV[2]  how long numbers are kept, ms
-- Returns how many
--
-- Atomic: a client may come back between looking and removing.

local now = redis_now()

local late = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, uuid in ipairs(late) do
  redis.call('ZREM', KEYS[4], uuid)
  redis.call('HDEL', KEYS[3], uuid)
  if redis.call('HEXISTS', KEYS[1], uuid) == 0 then
    redis.call('HDEL', KEYS[2], uuid)
  end
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, ARGV[1])
for _, node in ipairs(gone) do
  redis.call('ZREM', KEYS[5], node)
  redis.call('HDEL', KEYS[6], node)
end
return #late
