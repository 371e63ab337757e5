-- Lists the members whose lease is running.
--
-- KEYS[1]  members      ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  member_info  HASH  node -> Member as JSON
-- Returns the info of each
--
-- Atomic: the clock that decides must be this server's, at the instant of reading.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local found = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  found[#found + 1] = redis.call('HGET', KEYS[2], node) or nil
end
return found
