-- Writes the state of a canary unless it is another one than the caller has read.
--
-- ARGV[1] what was read, ARGV[2] what to write, ARGV[3] for how long it is kept, in
-- milliseconds. Returns 1 if it was written, and 0 if not.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
