-- What replicas hold: it only ever lasts longer, and it ends by itself.
--
-- KEYS[1] is a sorted set of names, by when each hold ends, in microseconds of the
-- server's clock.
--
-- ARGV[1] how many holds are kept at most, the longest
-- ARGV[2] how long one lasts at most
-- ARGV[3] the holds that the caller knows and that the set may lack: each a name,
-- and how long it still lasts
--
-- Returns all holds, each as its name and how long it still lasts. A run without a
-- hold of the caller's only reads.
local key, most, longest = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local number = function(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if #ARGV > 2 then
  for i = 3, #ARGV, 2 do
    local ends = now + math.min(ARGV[i + 1], longest)
    local known = redis.call('ZSCORE', key, ARGV[i])
    if not known or tonumber(known) < ends then redis.call('ZADD', key, number(ends), ARGV[i]) end
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', number(now))
  redis.call('ZREMRANGEBYRANK', key, 0, -1 - most)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if last[2] then redis.call('PEXPIRE', key, math.ceil(math.min(last[2] - now, longest) / 1000)) end
end

local held = redis.call('ZREVRANGEBYSCORE', key, '+inf', '(' .. number(now), 'WITHSCORES', 'LIMIT', 0, most)
for i = 2, #held, 2 do held[i] = math.min(held[i] - now, longest) end
return held
