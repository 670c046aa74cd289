-- KEYS[1] is the state of a canary. Returns the server's time in microseconds, and the
-- state, empty where there is none.
local time = redis.call('TIME')
return { time[1] * 1000000 + time[2], redis.call('GET', KEYS[1]) or '' }
