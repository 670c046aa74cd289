-- Adds totals to those of a day that all replicas share.
--
-- KEYS[1] is the day's hash: the numbers of each group, under "<group>:<n>", and the
-- number of each process's latest batch, under "p:<process>". KEYS[2] is a hash of the
-- groups' names, sealed; KEYS[3] a sorted set of days. Numbers are added by Redis
-- itself, which counts in 64 bits.
--
-- ARGV[1]  the day, ARGV[2] its number (of days since 1970), ARGV[3] how long it is kept
-- ARGV[4]  the process, ARGV[5] the number of its batch: one that comes twice counts once
-- ARGV[6]  how many numbers a group has
-- then for each group its digest, its sealed name and its numbers
--
-- Returns 1, or 0 for a batch that was there.
local process = 'p:' .. ARGV[4]
if tonumber(redis.call('HGET', KEYS[1], process) or 0) >= tonumber(ARGV[5]) then return 0 end
redis.call('HSET', KEYS[1], process, ARGV[5])
local count = tonumber(ARGV[6])
for i = 7, #ARGV, count + 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) -- anew, since the key that seals may be another one
  for n = 1, count do
    if ARGV[i + 1 + n] ~= '0' then
      local field = ARGV[i] .. ':' .. n
      local sum = redis.pcall('HINCRBY', KEYS[1], field, ARGV[i + 1 + n])
      if type(sum) == 'table' and sum.err then -- more than 64 bits
        redis.call('HSET', KEYS[1], field, '9223372036854775807')
      end
    end
  end
end
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
for k = 1, 3 do redis.call('PEXPIRE', KEYS[k], ARGV[3]) end
return 1
