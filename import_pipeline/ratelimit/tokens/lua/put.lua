-- Store the token that follows a version, and end the lock.
-- KEYS: the token. ARGV: version before, value, microseconds since its request. Returns: the new version, 0 for none.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local version = tonumber(redis.call('HGET', KEYS[1], 'version')) or 0
if version ~= tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'version', version + 1, 'value', ARGV[2], 'owner', '', 'held_until', 0,
  'requested', string.format('%.0f', now - tonumber(ARGV[3])))
return version + 1
