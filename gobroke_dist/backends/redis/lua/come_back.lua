--#include clock whereabouts
-- Moves a client that shows its secret to another session, from wherever it was.
--
-- KEYS[1]  members        ZSET  node -> lease end, ms of this server's clock
-- KEYS[2]  clients        HASH  uuid -> registration
-- KEYS[3]  last_messages  HASH  uuid -> Unix ms
-- KEYS[4]  node_clients of the new session's node, SET of uuids
-- KEYS[5]  secrets        HASH  uuid -> what a client comes back with
-- KEYS[6]  away           HASH  uuid -> registration
-- KEYS[7]  away_until     ZSET  uuid -> ms of this server's clock
-- KEYS[8]  posts          HASH  of the numbers of what is published
-- ARGV[1]  the new session's node
-- ARGV[2]  the client's uuid
-- ARGV[3]  its new registration
-- ARGV[4]  the hash of the secret that it shows, of 64 characters
-- ARGV[5]  its last message, Unix ms
-- ARGV[6]  on how many nodes it may have been, at most: of more, the first are forgotten
-- Returns {'back', its registration until now, lines "number node" of the nodes that it was on (keep.lua), epoch, number
--         of the last datum of all}, {'unknown'}: nobody waits for
--         this client with this secret, or {'expired'}: the new session's own node has no lease
--
-- Atomic: what is sent to the client before this step is in the log of where it was, what is sent after it goes to where
--         it is; of two connections that come back at once, the later one has it.

local now = redis_now()

if not is_living(KEYS[1], ARGV[1], now) then
  return {'expired'}
end
local too_late = redis.call('ZSCORE', KEYS[7], ARGV[2])
local stored = redis.call('HGET', KEYS[2], ARGV[2])
if not stored and too_late and tonumber(too_late) > now then
  stored = redis.call('HGET', KEYS[6], ARGV[2])
end
local kept = redis.call('HGET', KEYS[5], ARGV[2])
if not stored or not is_of(ARGV[4], kept) then
  return {'unknown'}
end
redis.call('HDEL', KEYS[6], ARGV[2])
redis.call('ZREM', KEYS[7], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
redis.call('SADD', KEYS[4], ARGV[2])
local known = redis.call('HMGET', KEYS[8], '#epoch', '#')
local number, lines, homes = known[2] or '0', string.sub(kept, #ARGV[4] + 2), {}
for line in string.gmatch(lines, '[^\n]+') do
  homes[#homes + 1] = line
end
if string.match(homes[#homes], ' (.*)$') ~= ARGV[1] then
  homes[#homes + 1] = number .. ' ' .. ARGV[1]
  if #homes > tonumber(ARGV[6]) then
    table.remove(homes, 1)
  end
  redis.call('HSET', KEYS[5], ARGV[2], ARGV[4] .. '\n' .. table.concat(homes, '\n'))
end
return {'back', stored, lines, known[1] or '', tonumber(number)}
