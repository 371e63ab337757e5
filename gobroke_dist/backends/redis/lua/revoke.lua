--#include clock
-- Remembers when a client was revoked.
--
-- KEYS[1]  revoked        STRING  ms of this server's clock
-- ARGV[1]  for how long, ms
-- Returns 1
--
-- Atomic: the time must be this server's, and it must not be later than that of a client which is registered after it.

redis.call('SET', KEYS[1], string.format('%.0f', redis_now()), 'PX', ARGV[1])
return 1
