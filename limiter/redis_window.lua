-- A sliding window of permits that all replicas share.
--
-- KEYS[1] is one string, because what it says must be lost together or not at
-- all, and because reading and writing it whole takes a run least time. It holds
-- six numbers and then the latest permits in order, each the latest time that its
-- caller can take for its slot, and the 8 bytes that identify the slot:
--
--   alive      when the script last ran
--   opened     when this history began
--   closed     until when a throttle holds the window closed
--   left       share of the cap at that time, in millionths
--   forgotten  the latest permit that is not kept any more; 0 for none
--   heard      the newest "now" that a replica is known to have been told
--
-- Times are microseconds of the server's clock, made never to run backwards.
--
-- ARGV[1]  reserve, return, throttle or look
-- ARGV[2]  reserve and return: the 8 bytes; throttle: for how long
-- ARGV[3]  six numbers, packed because that takes least time to pass:
--
--   cap     permits in a span
--   span
--   quiet   after how long without an answer the replicas may be on their own
--   settle  how long they take to notice that the store is back
--   seen    the newest "now" that the caller has been told; 0 for none
--   late    by how much the caller may take a time of the server's clock for a
--           later one than it is
--
-- Returns, packed too, now, the slot (0 but for reserve), the next free one,
-- opened, closed and the present share of the cap. All numbers in strings are
-- big-endian doubles, which hold these times exactly.
local key, op, arg = KEYS[1], ARGV[1], ARGV[2]
local header, entry = 48, 16
local max, floor, unpack, pack = math.max, math.floor, struct.unpack, struct.pack
local cap, span, quiet, settle, seen, late = unpack('>dddddd', ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local alive, opened, closed, left, forgotten, heard = 0, 0, 0, 1000000, 0, 0
local stored = redis.call('GET', key)
if stored then
  if #stored % entry ~= 0 then -- written by a version that does not know heard
    stored = stored:sub(1, header - 8) .. stored:sub(1, 8) .. stored:sub(header - 7)
  end
  alive, opened, closed, left, forgotten, heard = unpack('>dddddd', stored)
else
  -- A replica that has been told nothing yet has not sent on its own either.
  stored, heard = '', seen > 0 and seen or now
end
-- That the script runs says nothing about its answers, which may all be lost on
-- the way: what a replica has been told proves that one arrived.
if seen <= alive then heard = max(heard, seen) end

-- The history is worthless when no replica has been told anything for so long
-- that they may have sent on their own, when the script has not run for so long,
-- when the clock has jumped, or when the server knows less than it has told. Then
-- a new one begins, with silence: until all have come back, and one window beyond.
-- It begins with every run until one of its answers is known to have arrived.
local lost = seen > alive and now - opened > settle
if math.abs(now - alive) > quiet or now - heard > quiet or lost then
  closed = math.min(closed, now + max(0, closed - alive))
  alive, opened, forgotten, heard, stored = now, now, 0, math.min(heard, now), ''
end
now = max(now, alive)
-- The permits are those in stored from first on, and then one in added.
local first, added, slot = header + 1, '', 0

local function share()
  if now <= closed or left >= 1000000 then return left end
  return floor(math.min(1000000, left + (now - closed) / span * 1000000 / 20))
end

-- latest is the time of the n-th latest permit, 0 where there were not that
-- many. Of those forgotten it takes the worst.
local function latest(n)
  if added ~= '' then
    if n == 1 then return slot + late end
    n = n - 1
  end
  local i = #stored - n * entry + 1
  if i < first then return forgotten end
  return (unpack('>d', stored, i))
end

local function free()
  local n = max(1, floor(cap * share() / 1000000))
  -- The times that are kept stay in order; that the slot begins before one of
  -- them is no harm.
  return max(now, closed, opened + quiet + settle, latest(1) - late, latest(n) + span)
end

-- find is where the entry of a slot begins, if it is kept.
local function find(id)
  local i = stored:find(id, first, true)
  while i and (i - header) % entry ~= 9 do i = stored:find(id, i + 1, true) end
  return i and i - 8
end

if op == 'reserve' then
  local booked = find(arg)
  if booked then
    -- The run is repeated because its answer was lost.
    slot = unpack('>d', stored, booked) - late
  else
    slot = free()
    added = pack('>d', slot + late) .. arg
    -- Some more than the cap are kept, for slots that are returned.
    local excess = #stored - header - (cap + 7) * entry
    if excess > 0 then
      first = first + excess
      forgotten = unpack('>d', stored, first - entry)
    end
  end
elseif op == 'return' then
  local booked = find(arg)
  if booked then stored = stored:sub(1, booked - 1) .. stored:sub(booked + entry) end
elseif op == 'throttle' then
  if now >= closed then left = floor(share() / 2) end
  closed = max(closed, now + tonumber(arg))
end

-- Nothing of this is needed once the rate has grown back: an expired history
-- is one that no call was served from.
local ttl = math.ceil((max(closed - now, 0) + 30 * quiet) / 1000)
local numbers = pack('>dddddd', now, opened, closed, left, forgotten, heard)
redis.call('SET', key, numbers .. stored:sub(first) .. added, 'PX', ttl)
return pack('>dddddd', now, slot, free(), opened, closed, share())
