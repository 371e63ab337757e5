-- Forgets a client, if this very session is the one known.
--
-- KEYS[1]  clients        HASH  uuid -> registration
-- KEYS[2]  last_messages  HASH  uuid -> Unix ms
-- KEYS[3]  node_clients of the session's node, SET of uuids
-- KEYS[4]  secrets        HASH  uuid -> what a client comes back with
-- ARGV[1]  the client's uuid
-- ARGV[2]  what the session's registration starts with
-- Returns 1 if it was, else 0
--
-- Atomic: the client may connect elsewhere between looking and removing.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or string.sub(stored, 1, #ARGV[2]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return 1
