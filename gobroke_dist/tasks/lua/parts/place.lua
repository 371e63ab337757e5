-- Duplicates are found in two sets that take turns, so an id is remembered for one to two windows.
local function turn_window(queue, window, now)
    if window <= 0 then
        return
    end
    local since = tonumber(redis.call("HGET", queue.counters, "seen_since") or "0")
    if now - since >= window or now < since then
        -- HSET comes first: a Redis that is out of memory refuses it, and with it the whole script.
        redis.call("HSET", queue.counters, "seen_since", now)
        if redis.call("EXISTS", queue.seen_new) == 1 then
            redis.call("RENAME", queue.seen_new, queue.seen_old)
        else
            redis.call("UNLINK", queue.seen_old)
        end
    end
end

local function is_here(queue, id)
    return redis.call("HEXISTS", queue.messages, id) == 1 or redis.call("HEXISTS", queue.delayed, id) == 1
end

local function is_known(queue, id, window)
    if is_here(queue, id) then
        return true
    end
    if window <= 0 then
        return false
    end
    if redis.call("SISMEMBER", queue.seen_old, id) == 1 or redis.call("SADD", queue.seen_new, id) == 0 then
        return true
    end
    if redis.call("SCARD", queue.seen_new) == 1 then
        redis.call("PEXPIRE", queue.seen_new, window * 2)
    end
    return false
end

local function is_alive(queue, id)
    return is_mark(id)
        or redis.call("HEXISTS", queue.messages, id) == 1
        or redis.call("HEXISTS", queue.fences, id) == 1
        or redis.call("HEXISTS", queue.delayed, id) == 1
end

-- A head that a foreign tool removed would keep its key for ever. Returns whether it had.
local function go_on_without(queue, key, head, lane)
    if is_alive(queue, head) then
        return false
    end
    redis.call("HDEL", queue.keys, head)
    promote(queue, key, lane)
    return true
end

-- Puts a message, whose payload is stored, behind all others of its key.
local function line_up(queue, id, keyed, key, lane, payload)
    if not keyed then
        redis.call("RPUSH", queue.ready, id)
        ring(queue.bell)
    elseif redis.call("HSETNX", queue.heads, key, id) == 1 then
        make_head(queue, key, id, payload)
    else
        redis.call("RPUSH", lane, id)
        go_on_without(queue, key, redis.call("HGET", queue.heads, key), lane)
    end
end

local function hold_until(queue, id, due)
    redis.call("ZADD", queue.later, due, id)
    if redis.call("ZRANK", queue.later, id) == 0 then
        ring(queue.bell)
    end
end

-- The payload at ARGV[at], with what only Redis can know: the message's number in its queue, and when it was accepted.
-- They become its first option: the payload comes without its beginning, unless it is to stay as it is. A number ""
-- adds nothing.
local BEGINNING = '{"options":{'
local function stamped(at, number, instant)
    if ARGV[at + 1] == "0" then
        return ARGV[at]
    elseif number == "" then
        return BEGINNING .. ARGV[at]
    end
    return BEGINNING .. '"accepted":[' .. number .. "," .. instant .. "]," .. ARGV[at]
end

-- Accepts one message, once. ARGV from `at` on: id, payload, "1" if it is without its BEGINNING, delay, key, index of
-- its lane in KEYS (0: it is in no order).
local PLACE_ARGS = 6
local function place(queue, at, window, now)
    local id, delay, lane = ARGV[at], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 5])
    if is_known(queue, id, window) then
        return false
    end
    local payload = stamped(at + 1, redis.call("HINCRBY", queue.counters, "seq", 1), now)
    if delay > 0 then
        redis.call("HSET", queue.delayed, id, payload)
        hold_until(queue, id, now + delay)
    else
        redis.call("HSET", queue.messages, id, payload)
        line_up(queue, id, lane > 0, ARGV[at + 4], KEYS[lane], payload)
    end
    return true
end
