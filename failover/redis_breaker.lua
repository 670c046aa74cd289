-- One thing that happens to a breaker that all replicas share.
--
-- KEYS[1] is a hash of breakers, KEYS[2] a sorted set of when each last changed,
-- which is also the version of the change: no two are the same. A breaker is
--
--   version  of its latest change
--   opened   when it opened; 0 while it is closed
--   until    when its probe's lease ends; 0 for none
--   holder   of the lease, 8 bytes
--   n        how many failures in a row there are, and then when each was
--   name     tenant and provider, as the replicas have written them
--
-- Times are microseconds of the server's clock.
--
-- ARGV[1]  failed, reset, opened, closed, reopened, released or probing
-- ARGV[2]  the breaker's field in the hash
-- ARGV[3]  its name
-- ARGV[4]  the caller's name as a holder; zeros for none
-- ARGV[5]  the version that the caller knows
-- ARGV[6]  how long the breaker has been open for the caller
-- ARGV[7]  the rule: how many failures open it,
-- ARGV[8]  within how long,
-- ARGV[9]  for how long,
-- ARGV[10] and for how long a probe has its lease
-- ARGV[11] how long a breaker is remembered
-- ARGV[12] how many are remembered at most
--
-- Returns now, 1 where this run has opened it or granted the lease and 0
-- elsewhere, and the breaker, empty where there is none.
local breakers, changes = KEYS[1], KEYS[2]
local event, field, name, caller = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local seen, age = tonumber(ARGV[5]), tonumber(ARGV[6])
local enough, within = tonumber(ARGV[7]), tonumber(ARGV[8])
local open_for, probe_for = tonumber(ARGV[9]), tonumber(ARGV[10])
local keep, most = tonumber(ARGV[11]), tonumber(ARGV[12])
local pack, unpack = struct.pack, struct.unpack

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local none = string.rep('\0', 8)
local version, opened, lease, holder, failures = 0, 0, 0, none, {}
local stored = redis.call('HGET', breakers, field)
if stored then
  local n, at
  version, opened, lease, holder, n, at = unpack('>dddc8d', stored)
  for i = 1, n do failures[i], at = unpack('>d', stored, at) end
end

-- What the caller says of a breaker counts where no other caller has said anything
-- since: it may have opened while the store was away, or the store has lost it.
local newest = version <= seen
local changed, did = false, 0
if event == 'failed' then
  if opened == 0 then
    -- Those of all rules are in a row, and a rule forgets none that another asks for.
    local remembers = math.max(enough, #failures)
    failures[#failures + 1] = now
    if #failures > remembers then table.remove(failures, 1) end
    local first = #failures - enough + 1
    if first > 0 and now - failures[first] <= within then
      opened, failures, did = now, {}, 1
    end
    changed = true
  end
elseif event == 'reset' then
  if #failures > 0 then failures, changed = {}, true end
elseif event == 'opened' then
  if opened == 0 then opened, failures, changed = now - age, {}, true end
elseif event == 'probing' then
  if opened == 0 and newest then opened, failures = now - age, {} end
  if opened > 0 and now - opened >= open_for and (now >= lease or holder == caller) then
    lease, holder, changed, did = now + probe_for, caller, true, 1
  end
elseif holder == caller or newest then
  lease, holder, failures, changed = 0, none, {}, true
  if event == 'closed' then
    opened = 0
  elseif event == 'reopened' then
    opened = now
  elseif opened == 0 then
    opened = now - age
  end
end
if not changed then return { now, did, stored or '' } end

local latest = redis.call('ZREVRANGE', changes, 0, 0, 'WITHSCORES')[2]
version = math.max(now, (tonumber(latest) or 0) + 1)
local parts = { pack('>dddc0d', version, opened, lease, holder, #failures) }
for _, at in ipairs(failures) do parts[#parts + 1] = pack('>d', at) end
parts[#parts + 1] = name
stored = table.concat(parts)
redis.call('HSET', breakers, field, stored)
redis.call('ZADD', changes, string.format('%.0f', version), field)

-- Forget two that nothing has happened to for too long, one more than are added.
for _ = 1, 2 do
  local oldest = redis.call('ZRANGE', changes, 0, 0, 'WITHSCORES')
  if now - oldest[2] < keep and redis.call('ZCARD', changes) <= most then break end
  redis.call('ZREM', changes, oldest[1])
  redis.call('HDEL', breakers, oldest[1])
end
redis.call('PEXPIRE', breakers, math.ceil(keep / 1000))
redis.call('PEXPIRE', changes, math.ceil(keep / 1000))
return { now, did, stored }
