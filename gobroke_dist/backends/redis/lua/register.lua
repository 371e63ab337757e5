--#include clock whereabouts
-- Makes a client known, unless another session of it is on a living member.
--
-- KEYS[1]  members        ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  clients        HASH  uuid -> registration
-- KEYS[3]  last_messages  HASH  uuid -> Unix ms
-- KEYS[4]  node_clients of the client's node, SET of uuids
-- KEYS[5]  secrets        HASH  uuid -> what a client comes back with
-- KEYS[6]  away           HASH  uuid -> registration of who may come back
-- KEYS[7]  away_until     ZSET  uuid -> ms of this server's clock
-- ARGV[1]  the client's node
-- ARGV[2]  its uuid
-- ARGV[3]  its registration
-- ARGV[4]  the part of it that tells this session from others
-- ARGV[5]  its last message, Unix ms
-- Returns {'registered'}, {'taken', node of the other session} or {'expired'}: the client's own node has no lease
--
-- Atomic: of two nodes that register one uuid at once, one must lose.

local now = redis_now()

if not is_living(KEYS[1], ARGV[1], now) then
  return {'expired'}
end
local stored = redis.call('HGET', KEYS[2], ARGV[2])
if stored and not is_of(ARGV[4], stored) then
  local node = node_of(stored)
  if is_living(KEYS[1], node, now) then
    return {'taken', node}
  end
end
-- A node that was thought dead finds its own clients away.
local before = registration(KEYS[2], KEYS[6], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) -- first: a new client is refused when memory is full
if not is_of(ARGV[4], before) then
  redis.call('HDEL', KEYS[5], ARGV[2]) -- whoever had this uuid can't come back any more
end
redis.call('HDEL', KEYS[6], ARGV[2])
redis.call('ZREM', KEYS[7], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
redis.call('SADD', KEYS[4], ARGV[2])
return {'registered'}
