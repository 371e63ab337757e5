--#include post whereabouts
-- Lets a client come back who shows a secret, and says where its numbers begin. What is kept of it is the hash of its
-- secret, and then for each node that it was on a line "number node": from which number on it was there.
--
-- KEYS[1]  clients  HASH  uuid -> registration
-- KEYS[2]  secrets  HASH  uuid -> what a client comes back with
-- KEYS[3]  posts    HASH  of the numbers of what is published
-- ARGV[1]  the client's uuid
-- ARGV[2]  what its session's registration starts with
-- ARGV[3]  the hash of its secret, of 64 characters
-- ARGV[4]  the session's node
-- Returns {epoch, number of the last datum of all}, or {} when the client is not this session's any more
--
-- Atomic: the client may be taken over between looking and writing.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not is_of(ARGV[2], stored) then
  return {}
end
local known = redis.call('HMGET', KEYS[3], '#epoch', '#')
local epoch, number = known[1] or new_epoch(KEYS[3]), known[2] or '0'
local kept = redis.call('HGET', KEYS[2], ARGV[1])
if not is_of(ARGV[3], kept) then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3] .. '\n' .. number .. ' ' .. ARGV[4])
end
return { epoch, tonumber(number) }
