--#include clock whereabouts
-- Reads a part of all clients, without those of dead members.
--
-- KEYS[1]  members        ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  clients        HASH  uuid -> registration
-- KEYS[3]  last_messages  HASH  uuid -> Unix ms
-- ARGV[1]  HSCAN's cursor, '0' at first
-- ARGV[2]  about how many
-- Returns {the next cursor, {for each client three: uuid, registration, Unix ms}}
--
-- Atomic: client, time and lease must be of one instant, and the clock is this server's.

local now = redis_now()

local part = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
local found = {}
for i = 1, #part[2], 2 do
  local uuid, stored = part[2][i], part[2][i + 1]
  if is_on_living(KEYS[1], stored, now) then
    found[#found + 1] = uuid
    found[#found + 1] = stored
    found[#found + 1] = redis.call('HGET', KEYS[3], uuid) or '0'
  end
end
return {part[1], found}
