-- A sliding window of departures that all replicas share, in one sorted set:
--
--   departures  member "owner:sequence", score the time in microseconds
--   state       five members whose score is a value negated, so that they
--               always rank below all departures:
--     alive     when the script last ran
--     opened    when this history began
--     closed    until when a throttle holds the window closed
--     left      share of the cap at that time, in millionths
--     cut       1 once departures have been forgotten
--
-- Everything stands under one key because it must be lost together or not at
-- all. Times are those of the server, but never run backwards.
--
-- KEYS[1]  the set
-- ARGV[1]  reserve, throttle or look
-- ARGV[2]  the cap: departures in a span
-- ARGV[3]  the span, in microseconds
-- ARGV[4]  quiet: after how long without a run the replicas may be on their own
-- ARGV[5]  settle: how long they take to notice that the store is back
-- ARGV[6]  the newest "now" that the caller has been told; 0 for none
-- ARGV[7]  reserve: the member; throttle: for how long, in microseconds
--
-- Returns now, the slot (0 but for reserve), the next free one, opened, closed
-- and the present share of the cap.
local key, op = KEYS[1], ARGV[1]
local cap, span = tonumber(ARGV[2]), tonumber(ARGV[3])
local quiet, settle, seen = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('ZMSCORE', key, 'alive', 'opened', 'closed', 'left', 'cut', ARGV[7] or '')
local alive, opened = -(state[1] or 0), -(state[2] or 0)
local closed, left = -(state[3] or 0), -(state[4] or -1000000)
local cut = state[5] == '-1'
local booked = tonumber(state[6] or 0)

-- The history is worthless when nobody was served for so long that replicas may
-- have departed on their own, when the clock has jumped, or when the server
-- knows less than it has told. Then a new one begins, with silence: until all
-- have come back, and one window beyond.
local lost = seen > alive and now - opened > settle
if math.abs(now - alive) > quiet or lost then
  redis.call('DEL', key)
  closed = math.min(closed, now + math.max(0, closed - alive))
  opened, alive, cut, booked = now, now, false, 0
  redis.call('ZADD', key, -opened, 'opened', -closed, 'closed', -left, 'left', 0, 'cut')
end
now = math.max(now, alive)

local function share()
  if now <= closed or left >= 1000000 then return left end
  return math.floor(math.min(1000000, left + (now - closed) / span * 1000000 / 20))
end

-- latest is the time of the n-th latest departure, 0 where there were not that
-- many. The oldest that is known stands in for those that are forgotten.
local function latest(n)
  local found = tonumber(redis.call('ZREVRANGE', key, n - 1, n - 1, 'WITHSCORES')[2] or 0)
  if found <= 0 and cut then
    found = tonumber(redis.call('ZRANGEBYSCORE', key, '(0', '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or 0)
  end
  return math.max(0, found)
end

local function free()
  local n = math.max(1, math.floor(cap * share() / 1000000))
  return math.max(now, closed, opened + quiet + settle, latest(1), latest(n) + span)
end

local slot = 0
if op == 'reserve' then
  -- A run that is repeated because its answer was lost finds its slot booked.
  slot = booked > 0 and booked or free()
  redis.call('ZADD', key, -now, 'alive', slot, ARGV[7])
  -- Some more than the cap are kept, for slots that are returned.
  if redis.call('ZREMRANGEBYRANK', key, 5, -(cap + 17)) > 0 and not cut then
    cut = true
    redis.call('ZADD', key, -1, 'cut')
  end
else
  if op == 'throttle' then
    if now >= closed then left = math.floor(share() / 2) end
    closed = math.max(closed, now + tonumber(ARGV[7]))
    redis.call('ZADD', key, -closed, 'closed', -left, 'left')
  end
  redis.call('ZADD', key, -now, 'alive')
end

-- Nothing of this is needed once the rate has grown back: an expired history
-- is one that nobody was served from.
redis.call('PEXPIRE', key, math.ceil((math.max(closed - now, 0) + 30 * quiet) / 1000))
return { now, slot, free(), opened, closed, share() }
