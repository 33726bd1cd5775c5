-- Return the stored token, and take its lock unless another owner has it.
-- KEYS: the token. ARGV: owner, microseconds of the lock. Returns: granted, wait, version, age, value.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local kept = redis.call('HMGET', KEYS[1], 'version', 'value', 'requested', 'owner', 'held_until')
local version, requested = tonumber(kept[1]) or 0, tonumber(kept[3]) or now
local holder, held_until = kept[4] or '', tonumber(kept[5]) or 0
local age = math.max(0, now - requested)
if holder ~= '' and holder ~= ARGV[1] and held_until > now then
  return {0, held_until - now, version, age, kept[2] or ''}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'held_until', string.format('%.0f', now + tonumber(ARGV[2])))
return {1, 0, version, age, kept[2] or ''}
