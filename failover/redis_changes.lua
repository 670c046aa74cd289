-- The breakers that have changed since a version, the first ones of them.
--
-- KEYS[1], KEYS[2] as in the script of the breakers
-- KEYS[3] written alone, to find out that the server takes no writes
-- ARGV[1] the version
-- ARGV[2] how many at most
-- ARGV[3] for how long KEYS[3] lives, in milliseconds; 0 not to write it
--
-- Returns now, the version of the last one that is returned (that of ARGV[1] where
-- there is none), and the breakers.
if ARGV[3] ~= '0' then redis.call('SET', KEYS[3], '1', 'PX', ARGV[3]) end
local time = redis.call('TIME')
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local answer = { time[1] * 1000000 + time[2], tonumber(ARGV[1]) }
for i = 1, #found, 2 do
  answer[2] = tonumber(found[i + 1])
  answer[#answer + 1] = redis.call('HGET', KEYS[1], found[i]) or ''
end
return answer
