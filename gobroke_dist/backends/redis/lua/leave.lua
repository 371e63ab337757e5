-- Ends a member's lease now. It stays listed until its clients are removed, so that others can finish that.
--
-- KEYS[1]  members  ZSET  node -> lease end, ms of this server's clock
-- ARGV[1]  the member's node
-- Returns 1
--
-- Atomic: one step in any case; a script only so that it works at the memory limit (see renew.lua).

redis.call('ZREM', KEYS[1], '')
redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])
return 1
