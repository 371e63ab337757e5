--#include post
-- Sends on what a node got for clients that are on other nodes by now: once, whoever does it.
--
-- KEYS[1]  posts    HASH  of the numbers of what is published
-- KEYS[2]  heirs    HASH  node -> number of the last datum that was sent on
-- KEYS[3]  secrets  HASH  uuid -> what a client comes back with: lines "number node" of where it was (keep.lua)
-- KEYS     from 4 on: the log of each client's node
-- ARGV[1]  the node
-- ARGV[2]  the number that the datum had there
-- ARGV[3]  '1': the node is gone, and only clients that may come back are meant
-- ARGV[4]  how many data a log keeps, ARGV[5] for how long, ms
-- ARGV     from 6 on: of each client four: its uuid, its node's field in posts, its channel's name, the datum
-- Returns how many were sent on
--
-- Atomic: the node itself and its heirs may do this at once.

local node, number = ARGV[1], tonumber(ARGV[2])
if number <= tonumber(redis.call('HGET', KEYS[2], node) or '0') then
  return 0
end

-- Whether a client that came back has had this from the node's log, or will have it; or it was sent to the client before
-- its present session began, and is not known any more.
local function is_replayed(kept)
  local since, here = nil, nil
  for from, home in string.gmatch(kept, '(%d+) ([^\n]+)') do
    if number <= tonumber(from) and (not here or here == node) then
      return true
    end
    since, here = tonumber(from), home
  end
  return here == node
end

local sent = 0
for at = 6, #ARGV, 4 do
  local kept = redis.call('HGET', KEYS[3], ARGV[at])
  if kept and not is_replayed(string.sub(kept, 66)) or not kept and ARGV[3] ~= '1' then
    post(KEYS[1], KEYS[4 + (at - 6) / 4], ARGV[at + 1], ARGV[at + 2], ARGV[4], ARGV[5], ARGV[at + 3])
    sent = sent + 1
  end
end
redis.call('HSET', KEYS[2], node, number)
return sent
