--#include clock whereabouts
-- Reads the clients of some uuids, without those of dead members; if asked, with those that may come back: what is sent
-- to them is kept where they were.
--
-- KEYS[1]  members        ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  clients        HASH  uuid -> registration
-- KEYS[3]  last_messages  HASH  uuid -> Unix ms
-- KEYS[4]  secrets        HASH  uuid -> what a client comes back with, if it may
-- KEYS[5]  away           HASH  uuid -> registration
-- KEYS[6]  away_until     ZSET  uuid -> ms of this server's clock
-- ARGV[1]  '1': with those that may come back
-- ARGV     from 2 on: uuids
-- Returns for each that is connected three: uuid, registration, Unix ms
--
-- Atomic: client, time and lease must be of one instant, and the clock is this server's.

local now = redis_now()

local function waited_for(uuid)
  local too_late = redis.call('ZSCORE', KEYS[6], uuid)
  return too_late and tonumber(too_late) > now and redis.call('HGET', KEYS[5], uuid)
end

local found, with_away = {}, ARGV[1] == '1'
for at = 2, #ARGV do
  local uuid = ARGV[at]
  local stored = redis.call('HGET', KEYS[2], uuid)
  if stored and not is_on_living(KEYS[1], stored, now) and not (with_away and redis.call('HEXISTS', KEYS[4], uuid) == 1) then
    stored = false
  end
  stored = stored or (with_away and waited_for(uuid))
  if stored then
    found[#found + 1] = uuid
    found[#found + 1] = stored
    found[#found + 1] = redis.call('HGET', KEYS[3], uuid) or '0'
  end
end
return found
