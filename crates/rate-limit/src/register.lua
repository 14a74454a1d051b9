-- Says that a server is there, and answers how many are.
--
-- KEYS: the sorted set of servers by the time when they were last heard of. ARGV: the server's id, and the seconds after which
-- one that is not heard of counts as gone.

local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]) - 1)
-- Those that were heard of in what is now the future: the clock went back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 1, '+inf')
redis.call('EXPIRE', KEYS[1], 3600)
return redis.call('ZCARD', KEYS[1])
