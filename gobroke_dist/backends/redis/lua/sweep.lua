--#include clock whereabouts
-- Removes some clients of a dead member, and the member itself with the last of them. Those that may come back are away.
--
-- KEYS[1]  members        ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  member_info    HASH  node -> Member as JSON
-- KEYS[3]  clients        HASH  uuid -> registration
-- KEYS[4]  last_messages  HASH  uuid -> Unix ms
-- KEYS[5]  node_clients of the dead member, SET of uuids
-- KEYS[6]  secrets        HASH  uuid -> what a client comes back with, if it may
-- KEYS[7]  away           HASH  uuid -> registration
-- KEYS[8]  away_until     ZSET  uuid -> ms of this server's clock
-- KEYS[9]  retired        ZSET  node -> when the last of its clients was removed, ms
-- ARGV[1]  the dead member's node
-- ARGV[2]  what each of its registrations starts with
-- ARGV[3]  how many clients to look at, at most
-- ARGV[4]  for how long a client may come back, ms
-- Returns 1 if some may be left, 0 if there is nothing more to do
--
-- Atomic: the member may come back, and a client may move, between looking and removing. Several members may
-- sweep the same one at once.

local now = redis_now()

if is_living(KEYS[1], ARGV[1], now) then
  return 0
end

local uuids = redis.call('SPOP', KEYS[5], ARGV[3])
for _, uuid in ipairs(uuids) do
  local stored = redis.call('HGET', KEYS[3], uuid)
  if is_of(ARGV[2], stored) then
    redis.call('HDEL', KEYS[3], uuid)
    redis.call('HDEL', KEYS[4], uuid)
    wait_for(KEYS[6], KEYS[7], KEYS[8], uuid, stored, now + tonumber(ARGV[4]))
  end
end
if #uuids == tonumber(ARGV[3]) then
  return 1
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[9], now, ARGV[1])
return 0
