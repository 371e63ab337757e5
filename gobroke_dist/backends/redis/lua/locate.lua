--#include clock whereabouts
-- Reads the clients of some uuids, without those of dead members; if asked, with those that may come back: what is sent
-- to them is kept where they were.
--
-- KEYS: 1-5 the clients' places, 6 last_messages
-- ARGV: 1 "1": with those that may come back, then the uuids
-- Returns for each that is connected three: uuid, registration, Unix ms of its last message
-- Atomic because: client, time and lease must be of one instant, and the clock is this server's.
local places, now, found = places_at(1), redis_now(), {}
for at = 2, #ARGV do
    local stored = find(places, ARGV[at], now, ARGV[1] == "1")
    if stored then
        found[#found + 1] = ARGV[at]
        found[#found + 1] = stored
        found[#found + 1] = redis.call("HGET", KEYS[6], ARGV[at]) or "0"
    end
end
return found
