--#include clock post whereabouts
-- Gives a client's place from one session to another, and tells the node of the one that loses it.
--
-- KEYS[1]  members        ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  clients        HASH  uuid -> registration
-- KEYS[3]  last_messages  HASH  uuid -> Unix ms
-- KEYS[4]  node_clients of the client's node, SET of uuids
-- KEYS[5]  node_clients of the older session's node, SET of uuids
-- KEYS[6]  posts
-- KEYS[7]  log of the channel of the older session's node
-- KEYS[8]  secrets        HASH  uuid -> what a client comes back with: the older session does not
-- ARGV[1]  the client's node
-- ARGV[2]  its uuid
-- ARGV[3]  its registration
-- ARGV[4]  the part of it that tells this session from others
-- ARGV[5]  its last message, Unix ms
-- ARGV[6]  what the older session's registration starts with
-- ARGV[7]  the channel's field in posts, 8 its name, 9 how many data its log keeps, 10 for how long (ms), 11 the datum
-- Returns 'replaced', also when it was before; 'changed': the older session is not the one that is known; or 'expired':
--         the client's own node has no lease
--
-- Atomic: of several that replace one session, one wins; and what is sent to the client once it is known here reaches
-- the older session's node after the news.

local now = redis_now()

if not is_living(KEYS[1], ARGV[1], now) then
  return 'expired'
end
local stored = redis.call('HGET', KEYS[2], ARGV[2])
if is_of(ARGV[4], stored) then
  return 'replaced'
end
if not is_of(ARGV[6], stored) then
  return 'changed'
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
redis.call('HDEL', KEYS[8], ARGV[2])
redis.call('SREM', KEYS[5], ARGV[2])
redis.call('SADD', KEYS[4], ARGV[2])
post(KEYS[6], KEYS[7], ARGV[7], ARGV[8], ARGV[9], ARGV[10], "0" .. ARGV[11])
return 'replaced'
