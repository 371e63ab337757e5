--#include clock whereabouts
-- Extends a member's lease, or takes a fresh one where it had run out.
--
-- KEYS[1]  members      ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  member_info  HASH  node -> Member as JSON, with the number of its lease
-- ARGV[1]  the member's node
-- ARGV[2]  lease, ms
-- ARGV[3]  its info with the lease that it holds
-- ARGV[4]  its info with the lease to take, should that one be gone
-- Returns {1 if the lease was extended, 0 if a fresh one was taken; a member whose lease has run out, or ''; ms of this
--          server's clock}
--
-- Atomic: a member that finds its lease gone must have the next one before anybody counts it as dead again. The
-- info tells a fresh lease from the one before, so a call whose reply was lost says 0 once more when repeated.

local now = redis_now()

-- Removes nothing. Redis at its memory limit refuses a script's first write if that may need memory, and only
-- the first: a lease must be renewed even then.
redis.call('ZREM', KEYS[1], '')

local held = is_living(KEYS[1], ARGV[1], now) and redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[3]
if not held then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])

local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)
return {held and 1 or 0, dead[1] or '', now}
