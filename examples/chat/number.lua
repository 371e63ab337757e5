-- Give a line the next number of its room and keep it, or find the number that it was given before.
--
-- KEYS[1]  HASH  uuid of a line -> its number
-- KEYS[2]  ZSET  line as JSON, scored by its number
-- KEYS[3]  STRING  the number that was given last
-- ARGV[1]  the line's uuid      ARGV[2]  the line as JSON
-- ARGV[3]  lines to keep        ARGV[4]  seconds after which a silent room is forgotten
-- returns  {number, line as JSON}
--
-- Atomic because a crash between "take a number" and "keep the line" would leave a gap in the room, and a crash
-- between "keep the line" and "note its uuid" would let the next attempt say it a second time.
local known = redis.call("HGET", KEYS[1], ARGV[1])
if known then
  return {tonumber(known), redis.call("ZRANGEBYSCORE", KEYS[2], known, known)[1]}
end
local number = redis.call("INCR", KEYS[3])
redis.call("HSET", KEYS[1], ARGV[1], number)
redis.call("ZADD", KEYS[2], number, ARGV[2])
local too_old = number - tonumber(ARGV[3])
for _, line in ipairs(redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", too_old)) do
  redis.call("HDEL", KEYS[1], cjson.decode(line).uuid)
end
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", too_old)
for _, key in ipairs(KEYS) do
  redis.call("EXPIRE", key, ARGV[4])
end
return {number, ARGV[2]}
