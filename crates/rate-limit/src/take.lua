-- Takes tokens from buckets that several servers share, from all of them or from none (GCRA).
--
-- KEYS: a bucket each. Its value is the time at which it will be full again, in microseconds by this server's clock, and the
-- tokens that were ever taken from it.
-- ARGV: for each bucket the tokens to take, the tokens that flow in in a second, the tokens that it holds; the two values that the
-- asking server was told last; the tokens that it has let pass since without asking, and how many of those its share lacks.
-- Answers the microseconds to wait (0: taken), and then for each bucket the tokens that are left and its two values.

local time = redis.call('TIME')
-- Counted from the beginning of 2026, so that a double keeps fractions of a microsecond.
local now = (tonumber(time[1]) - 1767225600) * 1000000 + tonumber(time[2])
-- What doubles may be wrong by, in microseconds.
local TOLERANCE = 0.1
local ARGUMENTS = 7

local buckets, wait = {}, 0
for i, key in ipairs(KEYS) do
    local numbers = {}
    for j = 1, ARGUMENTS do
        numbers[j] = tonumber(ARGV[ARGUMENTS * (i - 1) + j])
    end
    local tokens, rate, burst, told, told_taken, passed, lacking = unpack(numbers)
    local interval = 1000000 / rate
    local holds = interval * burst
    local stored, taken = string.match(redis.call('GET', key) or '', '^(%S+) (%S+)$')
    stored, taken = tonumber(stored) or 0, math.max(tonumber(taken) or 0, told_taken)
    -- What passed unasked may leave a bucket emptier than empty, by as much as it holds. What says more was written before the clock
    -- went back, or when the bucket was larger.
    local emptiest = now + 2 * holds
    local function valid(full_at, otherwise)
        return full_at > emptiest + TOLERANCE and otherwise or full_at
    end
    told = valid(told, 0)
    local full_at = math.max(valid(stored, now + holds), told, now)
    if passed > 0 then
        -- It is at least as empty as it was then, less all that was taken since by anybody. That tells too little where it was full
        -- in between; then it lacks at least what the share does.
        local since_told = told > 0 and told + (taken - told_taken + passed) * interval or 0
        full_at = math.min(math.max(full_at + lacking * interval, since_told), emptiest)
    end
    local after = full_at + tokens * interval
    wait = math.max(wait, after - now - holds)
    buckets[i] = {
        key = key, interval = interval, holds = holds, tokens = tokens, is_new = full_at ~= stored or passed > 0,
        full_at = full_at, after = after, taken = taken + passed,
    }
end

local is_taken = wait <= TOLERANCE
local answer = {is_taken and 0 or math.ceil(wait)}
for i, bucket in ipairs(buckets) do
    local full_at, taken = bucket.full_at, bucket.taken
    if is_taken and bucket.tokens > 0 then
        full_at, taken, bucket.is_new = bucket.after, taken + bucket.tokens, true
    end
    if bucket.is_new and full_at > now then
        local value = string.format('%.17g %.0f', full_at, taken)
        redis.call('SET', bucket.key, value, 'PX', math.ceil((full_at - now) / 1000) + 1)
    end
    answer[3 * i - 1] = math.max(0, math.floor((now + bucket.holds - full_at + TOLERANCE) / bucket.interval))
    answer[3 * i] = math.floor(full_at)
    answer[3 * i + 1] = taken
end
return answer
