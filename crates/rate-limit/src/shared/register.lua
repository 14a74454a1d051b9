-- Registers a server, and returns the number of registered servers.
--
-- KEYS: the sorted set of servers, scored by the time of their last heartbeat in seconds.
-- ARGV: the server's id; the seconds after which a silent server no longer counts; only in tests, the time in microseconds
-- since 1970.

local now = ARGV[3] and math.floor(tonumber(ARGV[3]) / 1000000) or tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]) - 1)
-- Heartbeats in the future were written before the clock went back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 1, '+inf')
redis.call('EXPIRE', KEYS[1], 3600)
return redis.call('ZCARD', KEYS[1])
