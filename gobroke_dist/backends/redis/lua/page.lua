--#include clock whereabouts
-- Reads a part of all clients, without those of dead members.
--
-- KEYS[1]  members        ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  clients        HASH  uuid -> registration
-- KEYS[3]  last_messages  HASH  uuid -> Unix ms
-- ARGV[1]  HSCAN's cursor, '0' at first
-- ARGV[2]  about how many
-- Returns {the next cursor, the clients' uuids, their registrations, their Unix ms}
--
-- Atomic: client, time and lease must be of one instant, and the clock is this server's.

local now = redis_now()

local part = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
local scanned, uuids, registrations, times = part[2], {}, {}, {}
for i = 1, #scanned, 2 do
  if is_on_living(KEYS[1], scanned[i + 1], now) then
    uuids[#uuids + 1] = scanned[i]
    registrations[#registrations + 1] = scanned[i + 1]
  end
end
-- HSCAN may find more than it was asked for, and more than Lua can unpack at once.
for first = 1, #uuids, 1000 do
  for _, ms in ipairs(redis.call('HMGET', KEYS[3], unpack(uuids, first, math.min(first + 999, #uuids)))) do
    times[#times + 1] = ms or '0'
  end
end
return {part[1], uuids, registrations, times}
