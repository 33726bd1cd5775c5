-- Let the owner's lock end after some time.
-- KEYS: the token. ARGV: owner, microseconds from now.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'held_until', string.format('%.0f', now + tonumber(ARGV[2])))
end
return 0
