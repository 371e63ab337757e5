-- Leaves the answer to a request where the requester waits for it, for a short time.
--
-- KEYS[1]  reply  LIST  the answer
-- ARGV[1]  the answer
-- ARGV[2]  how long it is kept, ms
-- Returns 1
--
-- Atomic: an answer that nobody fetches must not stay for ever.

redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
