-- Take members out of a room, each only if it is still the connection that was meant.
--
-- KEYS[1]  HASH  client's uuid -> member as JSON      KEYS[2]  SET  rooms with members
-- ARGV[1]  the room      ARGV[2], ARGV[3], ...  uuid and member as JSON, again and again
-- returns  how many were taken out
--
-- Atomic because somebody who came back a moment ago must not be taken out for the connection that was lost.
local gone = 0
for i = 2, #ARGV, 2 do
  if redis.call("HGET", KEYS[1], ARGV[i]) == ARGV[i + 1] then
    gone = gone + redis.call("HDEL", KEYS[1], ARGV[i])
  end
end
if redis.call("EXISTS", KEYS[1]) == 0 then
  redis.call("SREM", KEYS[2], ARGV[1])
end
return gone
