-- Takes tokens from buckets that several servers share, from all of them or from none (GCRA).
--
-- KEYS: a bucket each. Its value is the time at which it will be full again, in microseconds by this server's clock.
-- ARGV: for each bucket the tokens to take, the tokens that flow in in a second, and the tokens that it holds.
-- Answers the microseconds to wait (0: taken), and then for each bucket the tokens that are left.

local time = redis.call('TIME')
-- Counted from the beginning of 2026, so that a double keeps fractions of a microsecond.
local now = (tonumber(time[1]) - 1767225600) * 1000000 + tonumber(time[2])
-- What doubles may be wrong by, in microseconds.
local TOLERANCE = 0.1

local buckets, wait = {}, 0
for i, key in ipairs(KEYS) do
    local tokens, rate, burst = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    local interval = 1000000 / rate
    local holds = interval * burst
    local full_at = tonumber(redis.call('GET', key)) or now
    -- No bucket is emptier than empty: what says so was written before the clock went back, or when the bucket was larger.
    if full_at > now + holds + TOLERANCE then
        full_at = now + holds
        redis.call('SET', key, string.format('%.17g', full_at), 'PX', math.ceil(holds / 1000) + 1)
    end
    full_at = math.max(full_at, now)
    local after = full_at + tokens * interval
    wait = math.max(wait, after - now - holds)
    buckets[i] = {key = key, tokens = tokens, interval = interval, holds = holds, before = full_at, after = after}
end

local taken = wait <= TOLERANCE
local answer = {taken and 0 or math.ceil(wait)}
for i, bucket in ipairs(buckets) do
    local full_at = bucket.before
    if taken and bucket.tokens > 0 then
        full_at = bucket.after
        redis.call('SET', bucket.key, string.format('%.17g', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
    end
    answer[i + 1] = math.floor((now + bucket.holds - full_at + TOLERANCE) / bucket.interval)
end
return answer
