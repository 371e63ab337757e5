-- What is due comes back, behind the others: a crowd of retries must not keep them from running. Returns in how many ms
-- the next is due, or -1.
local function revive_due(own, now, limit)
    local first = redis.call("ZRANGE", own.later, 0, 0, "WITHSCORES")
    if not first[2] or tonumber(first[2]) > now then
        return first[2] and tonumber(first[2]) - now or -1
    end
    for _, id in ipairs(redis.call("ZRANGEBYSCORE", own.later, "-inf", now, "LIMIT", 0, limit)) do
        redis.call("ZREM", own.later, id)
        local payload = redis.call("HGET", own.delayed, id)
        if payload then
            redis.call("HDEL", own.delayed, id)
            redis.call("HSET", own.messages, id, payload)
        end
        redis.call("RPUSH", own.ready, id)
    end
    first = redis.call("ZRANGE", own.later, 0, 0, "WITHSCORES")
    return first[2] and math.max(0, tonumber(first[2]) - now) or -1
end

-- Up to n {id, payload, key} from the ready list that may run. An id that has a fence is running: somebody pushed it a
-- second time. One without payload and key is nothing. Returns whether more may be in the list as well.
local function pop_ready(own, n)
    local found, here = {}, {}
    while #found < n do
        local wanted = n - #found
        local ids = redis.call("LPOP", own.ready, wanted)
        if not ids or #ids == 0 then
            return found, false
        end
        local fences = redis.call("HMGET", own.fences, unpack(ids))
        local payloads = redis.call("HMGET", own.messages, unpack(ids))
        local keys = redis.call("HMGET", own.keys, unpack(ids))
        for at, id in ipairs(ids) do
            if not fences[at] and not here[id] and (payloads[at] or keys[at]) then
                here[id] = true
                found[#found + 1] = { id, payloads[at], keys[at] }
            end
        end
        if #ids < wanted then
            return found, false
        end
    end
    return found, true
end

-- The next n: what is in the ready list, then what is at hand. What is left is in the list, and its bell rings.
local function next_ones(own, n)
    local found, more = pop_ready(own, n)
    local rest = {}
    for _, one in ipairs(at_hand) do
        if #found < n then
            found[#found + 1] = one
        else
            rest[#rest + 1] = one[1]
        end
    end
    if #rest > 0 then
        redis.call("RPUSH", own.ready, unpack(rest))
    end
    if #rest > 0 or (more and redis.call("LLEN", own.ready) > 0) then
        ring(own.bell)
    end
    return found
end

-- Counts a delivery. Returns the attempt, and recovered: 0 no, 1 yes, 2 and a delivery is known to have ended with its
-- process.
local function count_delivery(deliveries, id)
    local count = redis.call("HINCRBY", deliveries, id, 1)
    local past = count > 1 and tonumber(redis.call("HGET", deliveries, id .. RECOVERED))
    if not past then
        return count, 0
    end
    return count - math.floor(past / 2), 1 + past % 2
end

local AHEAD_BYTES = 256 * 1024

-- What comes after a message of `size` bytes in its lane, up to `most` {id, payload}, and not too many bytes: as far as
-- there is nothing to be known of it.
local function look_ahead(own, deliveries, lane, size, most)
    most = math.min(most, math.floor(AHEAD_BYTES / math.max(1, size)))
    local ids = most > 0 and redis.call("LRANGE", lane, 0, most - 1) or {}
    local found = {}
    if #ids == 0 then
        return found
    end
    local payloads = redis.call("HMGET", own.messages, unpack(ids))
    local counts = redis.call("HMGET", deliveries, unpack(ids))
    for at, id in ipairs(ids) do
        size = size + #(payloads[at] or "")
        if not payloads[at] or counts[at] or size > AHEAD_BYTES then
            return found
        end
        found[at] = { id, payloads[at] }
    end
    return found
end

-- Takes up to n messages for a worker: {id, payload, key, fence, attempt, recovered, {{id, payload, fence}, ...}} of each,
-- with false for a payload that is gone and for no key. The last is what comes after it, for a worker that has nothing
-- else to do, with the fences that are kept for it. `watch`: from this attempt on starts are noted (0: never);
-- `ahead`: how far to look ahead.
local function take(own, acks, deliveries, n, watch, ahead)
    local found = next_ones(own, n)
    if #found == 0 then
        return found
    end
    local followers, fences_needed = {}, #found
    for at, one in ipairs(found) do
        if ahead > 0 and one.lane then
            followers[at] = look_ahead(own, deliveries, one.lane, #(one[2] or ""), ahead)
            fences_needed = fences_needed + #followers[at]
        end
    end
    local fence, ids, fences = redis.call("HINCRBY", own.counters, "fence", fences_needed) - fences_needed, {}, {}
    for at, one in ipairs(found) do
        fence = fence + 1
        local id = one[1]
        local attempt, recovered = count_delivery(deliveries, id)
        one[4], one[5], one[6] = fence, attempt, recovered
        ids[at] = id
        fences[2 * at - 1], fences[2 * at] = id, fence
        if watch > 0 and (attempt >= watch or recovered > 0) then
            redis.call("HSET", deliveries, id .. STARTED, fence)
        end
        for _, follower in ipairs(followers[at] or {}) do
            fence = fence + 1
            follower[3] = fence
        end
        one[7] = followers[at] or {}
    end
    redis.call("SADD", acks, unpack(ids))
    redis.call("HSET", own.fences, unpack(fences))
    return found
end
