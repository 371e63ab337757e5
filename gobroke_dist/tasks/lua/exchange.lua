--#include clock bell deliveries queue place post whereabouts memberships sending settle take
-- Settles what a worker has finished, and takes up to n messages for it, or a few more where many wait: one trip for both.
--
-- KEYS: 1 heartbeats, 2 acks, 3 done, 4 deliveries, 5 dead, 6 dead_messages, 7-18 the queue; then, in any order, 12 for
--       each other queue that effects enqueue on, and the lanes
-- ARGV: 1 worker, 2 number of this call: with each one it grows, 3 lease (ms), 4 dedup window (ms), 5 n, 6 how many it
--       takes at most, 7 how many messages this process can run at once, 8 from which attempt on starts are noted (0:
--       never), 9 how many messages to show of what comes after those taken, 10 of how many calls to remember what they
--       settled, because their answers may be lost, 11 how many settlements, then those: parts/settle.lua
-- Returns {"late"}: a later call was carried out before this one; or
--       {state, standings, duplicates, now (ms), ms until the next message is due or -1, messages: parts/take.lua,
--       1 if nothing was asked for and others wait to run, else 0}
--       state: "ok", or "lease": this worker's lease is not valid, and nothing was taken
--       standings: of each settlement "held" (done now), "done" (by an earlier call, whose reply was lost), "stale" (the
--       delivery was taken from this worker, and nothing was done), or "failed: " and why: its effects could not be
--       carried out, and it is a dead letter
-- Atomic because: contract W7: what a handler sent is visible exactly when its message is gone; and an id must be in the
--       ready list or in a worker's acks, with a fence, and never in between.
local SHARE = 1 / 4 -- of what waits, for one process beyond its due: the rest is for others

local own, now, acks, done, deliveries = queue_at(7), redis_now(), KEYS[2], KEYS[3], KEYS[4]
local n, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local past = redis.call("HMGET", done, "call", "settled")
if tonumber(ARGV[2]) <= tonumber(past[1] or "0") then
    return { "late" }
end
local beat = redis.call("ZSCORE", KEYS[1], ARGV[1])
local leased = beat and tonumber(beat) >= now - tonumber(ARGV[3])
if n < most then
    n = math.max(n, math.min(most, n + math.floor(redis.call("LLEN", own.ready) * SHARE)))
end
if n > 0 and leased and redis.call("HEXISTS", own.counters, "halted") == 0 then
    attended, at_hand = own.bell, {}
end

local function settle(one)
    local duplicates = carry_out_effects(one, tonumber(ARGV[4]), now)
    if one.operation == "commit" then
        commit(own, one, acks, deliveries)
    elseif one.operation == "retry" then
        put_off(own, one, deliveries, now)
    else
        bury(own, one, deliveries, now, KEYS[5], KEYS[6])
    end
    return duplicates
end

local standings, duplicates, settlements = {}, 0, read_settlements(12, tonumber(ARGV[11]))
local settled = past[2] or ""
if #settlements > 0 then
    settled = remembered(judge(settlements, own, acks, settled), settled, tonumber(ARGV[10]))
end
let_go(settlements, own, acks, deliveries)
redis.call("HSET", done, "call", ARGV[2], "threads", ARGV[7], "settled", settled)
for number, one in ipairs(settlements) do
    standings[number] = one.standing
    if one.standing == "held" then
        local fine, answer = pcall(settle, one) -- a foreign key of a wrong type must not cost the others theirs
        if fine then
            duplicates = duplicates + answer
        else
            standings[number] = "failed: " .. (type(answer) == "table" and answer.err or tostring(answer))
            give_up(own, one, deliveries, now, KEYS[5], KEYS[6])
        end
    end
end

local wait, taken = -1, {}
if attended and logic_halted then
    next_ones(own, 0)
elseif attended then
    wait = revive_due(own, now, n)
    taken = take(own, acks, deliveries, n, tonumber(ARGV[8]), tonumber(ARGV[9]))
end
local others_wait = most == 0 and redis.call("LLEN", own.ready) > 0 and 1 or 0
return { leased and "ok" or "lease", standings, duplicates, now, wait, taken, others_wait }
