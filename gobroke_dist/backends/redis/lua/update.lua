--#include whereabouts
-- Writes metadata and last-message times of several clients; passes over one that is another session's by now.
--
-- KEYS[1]  clients        HASH  uuid -> registration
-- KEYS[2]  last_messages  HASH  uuid -> Unix ms
-- ARGV     for each client four: uuid, what its session's registration starts with, registration, Unix ms
-- Returns how many were this session's
--
-- Atomic: the client may connect elsewhere between looking and writing.

local written = 0
for i = 1, #ARGV, 4 do
  local stored = redis.call('HGET', KEYS[1], ARGV[i])
  if is_of(ARGV[i + 1], stored) then
    if stored ~= ARGV[i + 2] then
      redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    end
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 3])
    written = written + 1
  end
end
return written
