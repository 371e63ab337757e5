--#include clock bell queue place
-- Accepts messages for one queue, in order, each at most once per window.
--
-- KEYS: 1-12 the queue, then the lanes of the messages' ordering keys
-- ARGV: 1 dedup window (ms), 2 how many messages the queue may hold (0: any number), then what `place` reads of each
-- Returns {how many were new, then the numbers (from 1) of those that there was no room for}.
-- Atomic because: whether a key is free, whether an id is new and whether there is room must not change before the
--       messages are placed.
local FIRST = 3
local queue, window, now = queue_at(1), tonumber(ARGV[1]), redis_now()

-- Redis carries out one command on many fields far faster than many commands. Lua's stack bounds how many.
local MANY = 200
local function write(command, key, words)
    for first = 1, #words, MANY do
        redis.call(command, key, unpack(words, first, math.min(first + MANY - 1, #words)))
    end
end
-- What a command says of each field or member, as far as it is there.
local function look_up(found, command, key, words)
    if redis.call("EXISTS", key) == 0 then
        return found
    end
    for first = 1, #words, MANY do
        for at, reply in ipairs(redis.call(command, key, unpack(words, first, math.min(first + MANY - 1, #words)))) do
            if reply and reply ~= 0 then
                found[words[first + at - 1]] = reply
            end
        end
    end
    return found
end

local function room()
    local limit = tonumber(ARGV[2])
    if limit == 0 then
        return math.huge
    end
    return limit - redis.call("HLEN", queue.messages) - redis.call("HLEN", queue.delayed)
end

local function known_of(ids)
    local known = look_up({}, "HMGET", queue.messages, ids)
    look_up(known, "HMGET", queue.delayed, ids)
    if window > 0 then
        look_up(known, "SMISMEMBER", queue.seen_old, ids)
        look_up(known, "SMISMEMBER", queue.seen_new, ids)
    end
    return known
end

-- Which messages are to be accepted, by their place in ARGV, and their ids. Whoever sends a message again must hear
-- that it was accepted, even when the queue is full by now.
local function choose(answer)
    local ids, chosen, new, left = {}, {}, {}, room()
    for at = FIRST, #ARGV, PLACE_ARGS do
        ids[#ids + 1] = ARGV[at]
    end
    local known = known_of(ids)
    for number, id in ipairs(ids) do
        if not known[id] then
            if left > 0 then
                known[id], left = true, left - 1
                chosen[#chosen + 1], new[#new + 1] = FIRST + (number - 1) * PLACE_ARGS, id
            else
                answer[#answer + 1] = number
            end
        end
    end
    return chosen, new
end

-- Stores payloads; returns those messages that may start now, by their place in ARGV.
local function store(chosen)
    -- The first write of all is one that a full memory refuses, and with it the whole script.
    local number = redis.call("HINCRBY", queue.counters, "seq", #chosen) - #chosen
    local stored, present = {}, {}
    for n, at in ipairs(chosen) do
        local id, payload = ARGV[at], stamped(at + 1, number + n, now)
        if ARGV[at + 3] == "0" then
            stored[2 * #present + 1], stored[2 * #present + 2] = id, payload
            present[#present + 1] = at
        else
            redis.call("HSET", queue.delayed, id, payload)
            hold_until(queue, id, now + tonumber(ARGV[at + 3]))
        end
    end
    write("HSET", queue.messages, stored)
    return present
end

local function remember(ids)
    if window <= 0 then
        return
    end
    write("SADD", queue.seen_new, ids)
    if redis.call("SCARD", queue.seen_new) == #ids then
        redis.call("PEXPIRE", queue.seen_new, window * 2)
    end
end

-- The heads of the ordering keys of these messages; and the keys, in order.
local function heads_of(present)
    local keys, met = {}, {}
    for _, at in ipairs(present) do
        local key = ARGV[at + 4]
        if ARGV[at + 5] ~= "0" and not met[key] then
            met[key], keys[#keys + 1] = true, key
        end
    end
    return look_up({}, "HMGET", queue.heads, keys), keys
end

-- As `line_up` for each, with few commands.
local function line_all_up(present)
    local heads, keys = heads_of(present)
    local begun, begun_keys, ready, lanes, behind = {}, {}, {}, {}, {}
    for _, at in ipairs(present) do
        local id, key, lane = ARGV[at], ARGV[at + 4], tonumber(ARGV[at + 5])
        if lane == 0 then
            ready[#ready + 1] = id
        elseif not heads[key] then
            heads[key] = true -- by this call
            begun[#begun + 1], begun[#begun + 2] = key, id
            begun_keys[#begun_keys + 1], begun_keys[#begun_keys + 2] = id, key
            ready[#ready + 1] = id
        elseif behind[key] then
            table.insert(behind[key], id)
        else
            behind[key], lanes[key] = { id }, KEYS[lane]
        end
    end
    write("HSET", queue.heads, begun)
    write("HSET", queue.keys, begun_keys)
    write("RPUSH", queue.ready, ready)
    local woken = #ready > 0
    for _, key in ipairs(keys) do
        if behind[key] then
            write("RPUSH", lanes[key], behind[key])
            woken = (heads[key] ~= true and go_on_without(queue, key, heads[key], lanes[key])) or woken
        end
    end
    if woken then
        ring(queue.bell)
    end
end

local answer = { 0 }
turn_window(queue, window, now)
local chosen, ids = choose(answer)
if #chosen > 0 then
    local present = store(chosen)
    remember(ids)
    line_all_up(present)
    answer[1] = #chosen
end
return answer
