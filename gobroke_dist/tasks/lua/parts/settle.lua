-- How deliveries end. Each settlement is SETTLEMENT_ARGS words of ARGV, and then its effects:
--   operation ("commit", "retry", "reject"), id, fence, keyed, key, index of its lane in KEYS,
--   payload (of a retry or a dead letter), delay (of a retry, ms; of a dead letter: 0 go on, 1 halt the key, 2 halt the
--   whole logic), id and fence of the message that this worker goes on with, without waiting for the answer, or "" twice;
--   number of words of its effects
--   effects: "p", then what `publish_on` reads | "s", index of the first of its keys, then what parts/sending.lua
--   reads | "e", index of a queue's first key, then what parts/place.lua reads
local SETTLEMENT_ARGS = 11

local function read_settlements(at, count)
    local found = {}
    for number = 1, count do
        found[number] = {
            operation = ARGV[at],
            id = ARGV[at + 1],
            fence = ARGV[at + 2],
            key = ARGV[at + 3] == "1" and ARGV[at + 4],
            lane = KEYS[tonumber(ARGV[at + 5])],
            payload = ARGV[at + 6],
            delay = tonumber(ARGV[at + 7]),
            next = ARGV[at + 8],
            next_fence = ARGV[at + 9],
            effects = at + SETTLEMENT_ARGS,
        }
        at = at + SETTLEMENT_ARGS + tonumber(ARGV[at + 10])
        found[number].beyond = at
    end
    return found
end

-- Where each delivery stands: "held" by this worker; "done" by a call whose reply was lost; "stale": taken from it.
-- The fence alone would do, if the counter could not go back: a Redis restored from an older state has one.
-- Returns the fences of all that are not stale, as `remembered` keeps them.
local function judge(found, own, acks, settled)
    local ids = {}
    for number, one in ipairs(found) do
        ids[number] = one.id
    end
    local fences, acked = redis.call("HMGET", own.fences, unpack(ids)), redis.call("SMISMEMBER", acks, unpack(ids))
    local over = {}
    for number, one in ipairs(found) do
        if fences[number] == one.fence and acked[number] == 1 then
            one.standing = "held"
        else
            one.standing = string.find(settled, "," .. one.fence .. ",", 1, true) and "done" or "stale"
        end
        if one.standing ~= "stale" then
            over[#over + 1] = one.fence
        end
    end
    return "," .. table.concat(over, ",") .. ","
end

-- What is to be known of this worker's last calls, of `most` of them, for when it tells them again: their fences.
local function remembered(fences, settled, most)
    local kept = { fences }
    if most > 1 then
        for entry in string.gmatch(settled, "[^;]+") do
            if entry ~= fences and #kept < most then
                kept[#kept + 1] = entry
            end
        end
    end
    return table.concat(kept, ";")
end

-- Takes all that is held out of the worker's hands, and all that is committed and had no effects out of the queue.
-- HDEL comes first: Redis lets a script whose first write needs no memory finish when memory is full.
local function let_go(found, own, acks, deliveries)
    local held, committed, counts = {}, {}, {}
    for _, one in ipairs(found) do
        if one.standing == "held" then
            held[#held + 1] = one.id
            if one.operation == "commit" and one.effects == one.beyond then
                committed[#committed + 1] = one.id
                add_deliveries_of(counts, one.id)
            end
        end
    end
    redis.call("HDEL", own.fences, "", unpack(held))
    if #held > 0 then
        redis.call("SREM", acks, unpack(held))
    end
    if #committed > 0 then
        redis.call("HDEL", own.messages, unpack(committed))
        redis.call("HDEL", own.keys, unpack(committed))
        redis.call("HDEL", deliveries, unpack(counts))
    end
end

-- The next of its key is in this worker's hands from now on, if it is the one that the worker takes it to be. If not,
-- somebody has paused the key or removed the message, and what the worker makes of it will be refused.
local function goes_on(own, one, acks, deliveries)
    if one.next == "" or redis.call("LINDEX", one.lane, 0) ~= one.next then
        return false
    end
    if redis.call("HEXISTS", own.messages, one.next) == 0 or redis.call("HEXISTS", own.counters, "halted") == 1 then
        return false
    end
    redis.call("LPOP", one.lane)
    redis.call("HSET", own.heads, one.key, one.next)
    redis.call("HSET", own.keys, one.next, one.key)
    redis.call("SADD", acks, one.next)
    redis.call("HSET", own.fences, one.next, one.next_fence)
    redis.call("HINCRBY", deliveries, one.next, 1)
    return true
end

local function is_head(own, one)
    return one.key and redis.call("HGET", own.heads, one.key) == one.id
end

-- The next of its key may run now.
local function succeed(own, one)
    if is_head(own, one) then
        promote(own, one.key, one.lane)
    end
end

local function forget(own, one, deliveries)
    redis.call("HDEL", own.messages, one.id)
    redis.call("HDEL", own.keys, one.id)
    forget_deliveries(deliveries, one.id)
end

local function commit(own, one, acks, deliveries)
    if one.effects < one.beyond then
        forget(own, one, deliveries)
    end
    if is_head(own, one) and not goes_on(own, one, acks, deliveries) then
        promote(own, one.key, one.lane)
    end
end

-- Its key stays taken, so that what comes after it waits.
local function put_off(own, one, deliveries, now)
    if redis.call("HDEL", own.messages, one.id) == 0 then
        forget(own, one, deliveries) -- somebody deleted it while it ran
        succeed(own, one)
    elseif one.key and redis.call("LINDEX", one.lane, 0) == PAUSED then
        redis.call("HSET", own.messages, one.id, one.payload)
        put_first(own, one.key, one.lane, one.id)
    else
        redis.call("HSET", own.delayed, one.id, one.payload)
        hold_until(own, one.id, now + one.delay)
    end
end

-- Whether this call has halted the whole logic.
local logic_halted = false

local function lay_out(one, payload, now, dead, dead_messages)
    redis.call("ZADD", dead, now, one.id)
    redis.call("HSET", dead_messages, one.id, payload)
end

-- It becomes a dead letter. Then the next of its key is made ready, or its key waits for an operator.
local function bury(own, one, deliveries, now, dead, dead_messages)
    local there, halts = redis.call("HEXISTS", own.messages, one.id) == 1, one.delay
    forget(own, one, deliveries)
    if there then
        lay_out(one, one.payload, now, dead, dead_messages)
    end
    if there and halts == 2 then
        redis.call("HSET", own.counters, "halted", one.id)
        logic_halted = true
    end
    if there and halts > 0 and is_head(own, one) then
        redis.call("HSET", own.heads, one.key, HALTED .. one.id)
        redis.call("HSET", own.halted, one.key, one.id)
    else
        succeed(own, one)
    end
end

-- Reads from ARGV: index of the key of posts, which the channel's log follows; the channel's field in posts, its name, how
-- many data its log keeps, for how long (ms), the datum. Returns where in ARGV the next effect begins.
local function publish_on(at)
    local first = tonumber(ARGV[at])
    post(KEYS[first], KEYS[first + 1], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], "0" .. ARGV[at + 5])
    return at + 6
end

-- Returns how many enqueued messages were known already.
local function carry_out_effects(one, window, now)
    local duplicates, at = 0, one.effects
    while at < one.beyond do
        if ARGV[at] == "p" then
            at = publish_on(at + 1)
        elseif ARGV[at] == "s" then
            local _
            _, at = send(tonumber(ARGV[at + 1]), at + 2, now)
        else
            local queue = queue_at(tonumber(ARGV[at + 1]))
            turn_window(queue, window, now)
            if not place(queue, at + 2, window, now) then
                duplicates = duplicates + 1
            end
            at = at + 2 + PLACE_ARGS
        end
    end
    return duplicates
end

-- What a handler sent can't be carried out, because another tool has put something else under one of the keys: its
-- message must not vanish with it.
local function give_up(own, one, deliveries, now, dead, dead_messages)
    local payload = redis.call("HGET", own.messages, one.id)
    forget(own, one, deliveries)
    if payload then
        lay_out(one, payload, now, dead, dead_messages)
    end
    succeed(own, one)
end
