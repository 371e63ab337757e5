--#include clock
-- Lists the members whose lease is running.
--
-- KEYS[1]  members      ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  member_info  HASH  node -> Member as JSON
-- Returns the info of each
--
-- Atomic: the clock that decides must be this server's, at the instant of reading.

local now = redis_now()

local found = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  found[#found + 1] = redis.call('HGET', KEYS[2], node) or nil
end
return found
