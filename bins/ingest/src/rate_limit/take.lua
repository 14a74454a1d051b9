-- Takes tokens from buckets that several servers share, from all of them or from none (GCRA).
--
-- KEYS: a bucket each. Its value is the time at which it will be full again, in microseconds by this server's clock.
-- ARGV: for each bucket the tokens to take, the tokens that flow in in a second, the tokens that it holds, the value that the
-- asking server was told last, and the tokens that it has let pass since without asking.
-- Answers the microseconds to wait (0: taken), and then for each bucket the tokens that are left and its value.

local time = redis.call('TIME')
-- Counted from the beginning of 2026, so that a double keeps fractions of a microsecond.
local now = (tonumber(time[1]) - 1767225600) * 1000000 + tonumber(time[2])
-- What doubles may be wrong by, in microseconds.
local TOLERANCE = 0.1

local buckets, wait = {}, 0
for i, key in ipairs(KEYS) do
    local tokens, rate, burst = tonumber(ARGV[5 * i - 4]), tonumber(ARGV[5 * i - 3]), tonumber(ARGV[5 * i - 2])
    local told, passed = tonumber(ARGV[5 * i - 1]), tonumber(ARGV[5 * i])
    local interval = 1000000 / rate
    local holds = interval * burst
    local stored = tonumber(redis.call('GET', key)) or 0
    -- What passed unasked may leave a bucket emptier than empty, by as much as it holds. What says more was written before the clock
    -- went back, or when the bucket was larger.
    local latest = now + 2 * holds + TOLERANCE
    local full_at = math.max(stored > latest and now + holds or stored, told > latest and 0 or told, now)
    if passed > 0 then
        full_at = math.min(full_at + passed * interval, now + 2 * holds)
    end
    local after = full_at + tokens * interval
    wait = math.max(wait, after - now - holds)
    buckets[i] = {key = key, interval = interval, holds = holds, stored = stored, before = full_at, after = after}
end

local taken = wait <= TOLERANCE
local answer = {taken and 0 or math.ceil(wait)}
for i, bucket in ipairs(buckets) do
    local full_at = taken and bucket.after or bucket.before
    if full_at > now and full_at ~= bucket.stored then
        redis.call('SET', bucket.key, string.format('%.17g', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
    end
    answer[2 * i] = math.max(0, math.floor((now + bucket.holds - full_at + TOLERANCE) / bucket.interval))
    answer[2 * i + 1] = math.floor(full_at)
end
return answer
