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

if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local lease_end = redis.call('ZSCORE', KEYS[1], ARGV[1])
if lease_end and tonumber(lease_end) > now then
  return 0
end

local uuids = redis.call('SPOP', KEYS[5], ARGV[3])
for _, uuid in ipairs(uuids) do
  local stored = redis.call('HGET', KEYS[3], uuid)
  if stored and string.sub(stored, 1, #ARGV[2]) == ARGV[2] then
    redis.call('HDEL', KEYS[3], uuid)
    redis.call('HDEL', KEYS[4], uuid)
    if redis.call('HEXISTS', KEYS[6], uuid) == 1 then
      redis.call('HSET', KEYS[7], uuid, stored)
      redis.call('ZADD', KEYS[8], now + tonumber(ARGV[4]), uuid)
    end
  end
end
if #uuids == tonumber(ARGV[3]) then
  return 1
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[9], now, ARGV[1])
return 0
