package replay

import "github.com/redis/go-redis/v9"

// Redis counts what a tenant takes in sorted sets beside what is counted, in the same
// slot of a Cluster and by the same scripts. Members are in the order in which they
// end, so that those which have ended, or must make room, are found first. A set is
// one key, with its total as a member of it: it ends, or is lost, as a whole, and can
// never be out of step with itself. What is counted may be gone before its member
// (evicted, say): then the tenant has less room, until the member's time.
//
// tenantBytes is an account of answers: members are "<name>:<bytes>", and "total",
// whose score, a number of bytes, is below every time in milliseconds.
const tenantBytes = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- What n bytes take: the allocator rounds up, and there are the names and the member.
local function charge(n) return n + math.floor(n / 8) + 512 end

-- note adds a member to a set, or moves it, and lets the set live as long.
local function note(set, member, ttl)
  redis.call('ZADD', set, now + ttl, member)
  if redis.call('PTTL', set) < tonumber(ttl) then redis.call('PEXPIRE', set, ttl) end
end

local function add(set, bytes) redis.call('ZINCRBY', set, bytes, 'total') end

-- remove takes a member with the name out, if there is one.
local function remove(set, name, bytes)
  if redis.call('ZREM', set, name .. ':' .. bytes) == 1 then add(set, -bytes) end
end

-- make_room removes what has ended, no more than a hundred at once, and then drops
-- the oldest until the total is at most room.
local function make_room(set, room, drop)
  local total = tonumber(redis.call('ZSCORE', set, 'total') or 0)
  for i = 1, math.huge do
    local first = redis.call('ZRANGE', set, 1, 1, 'WITHSCORES')
    if not first[1] then return end
    local ended = tonumber(first[2]) <= now
    if total <= room and not (ended and i <= 100) then return end
    local name, bytes = string.match(first[1], '^(.*):(%d+)$')
    if not ended then drop(name) end
    redis.call('ZREM', set, first[1])
    add(set, -bytes)
    total = total - bytes
  end
end
`

// accounting makes a script that keeps accounts.
func accounting(script string) *redis.Script { return redis.NewScript(tenantBytes + script) }
