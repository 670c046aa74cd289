-- What processes have taken of a budget that all share.
--
-- KEYS[1] is a hash of what each process has taken in one window, "<seq>:<amount>" by
-- the process's name. KEYS[2] is when this history began, in milliseconds of the
-- server's clock: a server that has lost its data begins a new one. KEYS[3] is a sorted
-- set of the budgets that were recalled lately, by when. Every number is a whole one
-- below 2^53, which Lua's doubles hold exactly.
--
-- ARGV[1]  take, recall or look
-- ARGV[2]  take: the process's name; recall: the budget's; look: since when
-- ARGV[3]  how long a history is too young to take more: until every process that has
--          taken something has said so again
--
-- and for take
--
-- ARGV[4]  a number that grows with each request of the process: one that comes late,
--          after its successor, or twice, changes nothing
-- ARGV[5]  what the process wants to have taken altogether
-- ARGV[6]  what it knows to have taken, which is restated where it was lost
-- ARGV[7]  the budget
-- ARGV[8]  how long the hash is kept
--
-- take returns 1 (taken), 0 (refused) or 2 (too young) and what the others have taken;
-- look returns when the history began, now, and the budgets recalled since.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(n) return string.format('%.0f', n) end
local month = 31 * 24 * 3600 * 1000

local began = tonumber(redis.call('GET', KEYS[2]) or nil)
if not began or began > now then
  began = now
  redis.call('SET', KEYS[2], text(began), 'PX', text(3 * month))
end

if ARGV[1] == 'recall' then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - 10000))
  redis.call('ZADD', KEYS[3], text(now), ARGV[2])
  redis.call('PEXPIRE', KEYS[3], 20000)
  return { 1, 0 }
end
if ARGV[1] == 'look' then
  redis.call('PEXPIRE', KEYS[2], text(3 * month))
  local answer = { text(began), text(now) }
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], ARGV[2], '+inf', 'LIMIT', 0, 1000)) do
    answer[#answer + 1] = name
  end
  return answer
end

local name, seq, amount, had = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local others, own, last = 0, 0, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local s, a = string.match(all[i + 1], '^(%d+):(%d+)$')
  if all[i] == name then
    last, own = tonumber(s), tonumber(a)
  else
    others = others + tonumber(a)
  end
end
if seq <= last then
  return { own == amount and 1 or 0, others }
end
if had > own then -- this server knows less than it has told
  redis.call('SET', KEYS[2], text(now), 'PX', text(3 * month))
  began = now
end
if amount > math.max(own, had) then
  local refused = 0
  if now - began < tonumber(ARGV[3]) then
    refused = 2
  elseif others + amount > tonumber(ARGV[7]) then
    refused = 0
  else
    refused = 1
  end
  if refused ~= 1 then
    if had > own then
      redis.call('HSET', KEYS[1], name, text(seq) .. ':' .. text(had))
      redis.call('PEXPIRE', KEYS[1], ARGV[8])
    end
    return { refused, others }
  end
end
redis.call('HSET', KEYS[1], name, text(seq) .. ':' .. text(amount))
redis.call('PEXPIRE', KEYS[1], ARGV[8])
return { 1, others }
