-- Takes tokens from the buckets that servers share: from all of them, or from none (GCRA).
--
-- KEYS: one key per bucket. Its value is the time at which the bucket will be full, in microseconds since 2026.
-- ARGV: per bucket the tokens to take, the tokens per second and the size; then, only in tests, the time in microseconds
-- since 1970. Otherwise Redis's own clock counts, so servers need no synchronized clocks.
-- Returns the microseconds to wait (0: taken), then the tokens left in each bucket.

local now = tonumber(ARGV[3 * #KEYS + 1])
if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
-- A double keeps fractions of a microsecond only if it counts from a recent year.
now = now - 1767225600000000
-- Rounding error of doubles, in microseconds.
local TOLERANCE = 0.1

local buckets, wait = {}, 0
for i, key in ipairs(KEYS) do
    local tokens, rate, size = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    local interval = 1000000 / rate
    local capacity = interval * size
    local stored = tonumber(redis.call('GET', key) or '') or 0
    -- A time later than that of an empty bucket was written before the clock went back or the bucket shrank. Without the
    -- bound, and without writing it back below, the bucket would stay empty until then.
    local full_at = math.max(math.min(stored, now + capacity), now)
    wait = math.max(wait, full_at + tokens * interval - now - capacity)
    buckets[i] = {
        key = key, tokens = tokens, size = size, interval = interval, capacity = capacity, stored = stored,
        full_at = full_at,
    }
end

local taken = wait <= TOLERANCE
local answer = {taken and 0 or math.ceil(wait)}
for i, bucket in ipairs(buckets) do
    local full_at = bucket.full_at
    if taken then
        full_at = full_at + bucket.tokens * bucket.interval
    end
    if full_at ~= bucket.stored and full_at > now then
        -- The key expires when the bucket is full, so idle tenants use no memory.
        redis.call('SET', bucket.key, string.format('%.17g', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
    end
    local left = math.floor((now + bucket.capacity - full_at + TOLERANCE) / bucket.interval)
    answer[i + 1] = math.max(0, math.min(left, bucket.size))
end
return answer
