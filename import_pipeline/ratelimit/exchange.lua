-- Settles permits of one api and grants new ones, in one atomic step. rule.py does the same in Python. Microseconds.
-- KEYS  stamps: permit -> the latest moment at which the server can have counted it; state: what all processes share
-- ARGV  look_ahead, count, epoch and moment last seen by this process, elapsed there since, told, quickest, samples,
--       #tiers, #settled, #sightings, (amount, window)..., (tier, used, age)..., (permit, outcome, age, wait)..., (permit, lifetime)...
local STAMPS, STATE = KEYS[1], KEYS[2]
local SLACK, GAP, POLL, REJOIN, FRESH, WEEK = 250000, 1000000, 50000, 2000000, 2000000, 604800000
local WHOLE, LEAST, EARLY, LATE, RELAX_AFTER = 1000000, 100000, 250000, 1250000, 120000000
local PERIOD, SAMPLES, LONGEST_CREDITED = 60000000, 20, 10000000
local FIELDS = {'offset', 'seen', 'epoch', 'hold', 'pause', 'probing', 'probe_until', 'hits', 'sleeps', 'slept',
                'sleep_until', 'asleep', 'keep', 'learned', 'relax_at', 'weak', 'told', 'told_at', 'quickest',
                'quickest_before', 'samples', 'samples_before', 'turned', 'strict_until'}
local max, min = math.max, math.min
local at = 0
local function text() at = at + 1; return ARGV[at] end
local function number() return tonumber(text()) end
local function exact(n) return string.format('%.0f', n) end

local s = {}
for i, value in ipairs(redis.call('HMGET', STATE, unpack(FIELDS))) do s[FIELDS[i]] = tonumber(value or 0) end
local probe = redis.call('HGET', STATE, 'probe') or ''
if s.epoch == 0 then s.learned, s.told = WHOLE, WHOLE end
local look_ahead, count, epoch, seen, elapsed = number(), number(), number(), number(), number()
local told, quickest, samples = number(), number(), number()
local tiers, settled, sightings, wanted = {}, {}, {}, {}
local n_tiers, n_settled, n_sightings = number(), number(), number()
for i = 1, n_tiers do tiers[i] = {number(), number()} end
for i = 1, n_sightings do sightings[i] = {number(), number(), number()} end
for i = 1, n_settled do settled[i] = {text(), text(), number(), number()} end
while at < #ARGV do wanted[#wanted + 1] = {text(), number()} end

-- The clock never goes back, and never further ahead than time has passed for whoever asks.
local time = redis.call('TIME')
local raw = time[1] * 1000000 + time[2]
local now = raw + s.offset
if seen > 0 then now = min(now, seen + elapsed + SLACK) end
now = max(now, s.seen)
local rolled_back = seen > s.seen
s.offset, s.seen = now - raw, now

-- A store that was emptied or set back waits until every living process has told again what it knows.
local lost = epoch > 0 and (rolled_back or epoch ~= s.epoch)
if s.epoch == 0 or (rolled_back and epoch == s.epoch) then s.epoch, s.hold = now, 0 end
if lost and s.hold == 0 then s.hold = now + REJOIN end

local function sleep_until(till)
  local from = max(now, s.sleep_until)
  if s.asleep == 1 and now <= s.sleep_until + GAP then from = s.sleep_until
  elseif till > from then s.sleeps = s.sleeps + 1 end
  if till > from then s.slept, s.sleep_until, s.asleep = s.slept + till - from, till, 1 end
end
local function wake(start)
  if s.asleep == 1 and start <= s.sleep_until + GAP then
    s.slept, s.sleep_until = s.slept + start - s.sleep_until, start
  end
  s.asleep = 0
end

-- What the server's behaviour teaches.
for _, tier in ipairs(tiers) do s.keep = max(s.keep, tier[2]) end
if s.learned < WHOLE and now >= s.relax_at then
  s.learned = s.weak == 1 and WHOLE or min(WHOLE, s.learned + math.floor(s.learned / 20))
  s.relax_at, s.weak = now + s.keep, 0
end
if told > 0 and (told <= s.told or now >= s.told_at + max(PERIOD, s.keep)) then s.told, s.told_at = told, now end
if now >= s.turned + PERIOD then
  local fresh = now < s.turned + 2 * PERIOD
  s.quickest_before, s.samples_before = fresh and s.quickest or 0, fresh and s.samples or 0
  s.quickest, s.samples, s.turned = 0, 0, now
end
if samples > 0 then
  s.quickest = s.quickest == 0 and quickest or min(s.quickest, quickest)
  s.samples = s.samples + samples
end
local function tighten(moment, wait, again)
  local certain, fullest = -1, 0
  for _, tier in ipairs(tiers) do
    local since = '(' .. exact(moment - tier[2])
    local part = math.floor(redis.call('ZCOUNT', STAMPS, since, '+inf') * WHOLE / tier[1])
    local oldest = redis.call('ZRANGEBYSCORE', STAMPS, since, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or moment
    local frees_in = min(tonumber(oldest) - moment, 0) + tier[2]
    fullest = max(fullest, part)
    if frees_in - EARLY <= wait and wait <= frees_in + LATE then certain = max(certain, part) end
  end
  local part = max(LEAST, certain >= 0 and certain or fullest)
  if again and s.learned < WHOLE then
    part = max(LEAST, min(part, s.learned - math.floor(s.learned / 10)))
  end
  if part < s.learned then s.learned, s.weak = part, (certain < 0 and now < s.epoch + s.keep) and 1 or 0 end
  s.relax_at = s.weak == 1 and s.epoch + s.keep or now + max(RELAX_AFTER, 5 * s.keep)
  s.strict_until = s.relax_at
end

local furthest = 0
local function stamp(permit, score)
  if n_tiers > 0 then redis.call('ZADD', STAMPS, exact(score), permit) end
  furthest = max(furthest, score)
end
-- Where the server counts more than all that we can have sent, somebody else uses the key.
for _, each in ipairs(sightings) do
  local tier, used, age = tiers[each[1]], each[2], each[3]
  if age <= FRESH then
    local ours = redis.call('ZCOUNT', STAMPS, '(' .. exact(now - age - tier[2]), '+inf')
    for n = 0, min(used, tier[1]) - ours - 1 do
      stamp('other ' .. exact(now) .. ' ' .. (each[1] - 1) .. ' ' .. n, now)
    end
  end
end
for _, each in ipairs(settled) do
  local permit, outcome, age, wait = each[1], each[2], each[3], each[4]
  if outcome == 'a' then
    stamp(permit, now - age)
    if permit == probe then s.probing, probe = 0, '' end
  elseif outcome == 'f' then
    stamp(permit, now + wait)
  else
    redis.call('ZREM', STAMPS, permit)
    local tried = permit == probe
    if tried then s.probing, probe = 1, '' end
    if outcome == 'r' then
      local again = s.pause <= now
      s.hits, s.pause = s.hits + 1, max(s.pause, now - age + wait)
      if s.pause > now then s.probing = 1; sleep_until(s.pause) end
      if n_tiers > 0 and not tried then tighten(now - age, wait, again) end
    end
  end
end
redis.call('ZREMRANGEBYSCORE', STAMPS, '-inf', exact(now - s.keep - FRESH))

local portion, credit = min(s.learned, s.told), 0
if s.samples + s.samples_before >= SAMPLES and now >= s.strict_until then
  local least = min(s.quickest > 0 and s.quickest or s.quickest_before,
                    s.quickest_before > 0 and s.quickest_before or s.quickest)
  credit = max(0, least - max(10000, math.floor(least / 10)))
end

-- The moment at which the j-th wanted permit may start: in every tier, a window after the n-th newest before it.
local asked = #wanted
local blocked_until = max(s.pause, s.hold)
if s.probing == 2 then blocked_until = max(blocked_until, min(s.probe_until, now + POLL)) end
if s.probing > 0 then asked = min(asked, 1) end
local start, granted = {}, {}
for j = 1, asked do start[j] = now end
for _, tier in ipairs(tiers) do
  local amount, window = max(1, math.floor(tier[1] * portion / WHOLE)), tier[2]
  if window <= LONGEST_CREDITED then window = window - min(credit, math.floor(window / 4)) end
  local reach = min(asked, amount)
  local newest = reach > 0 and redis.call('ZREVRANGE', STAMPS, amount - reach, amount - 1, 'WITHSCORES') or {}
  for j = 1, asked do
    local score = j > amount and now or tonumber(newest[2 * (reach - j) + 2] or '-inf')
    start[j] = max(start[j], min(score, now) + window)
  end
end
local wait = 0
if blocked_until > now then
  wait = blocked_until - now
  if #wanted > 0 then sleep_until(blocked_until) end
else
  while #granted < asked and start[#granted + 1] <= now + look_ahead do
    local j = #granted + 1
    stamp(wanted[j][1], start[j] + wanted[j][2])
    granted[j] = start[j] - now
  end
  if #granted > 0 then wake(start[1]) end
  if #granted > 0 and s.probing > 0 then
    s.probing, probe, s.probe_until = 2, wanted[1][1], start[1] + wanted[1][2]
  end
  if #granted < #wanted then
    local free = start[#granted + 1] or (now + POLL)
    wait = max(0, free - look_ahead - now)
    sleep_until(free)
  end
end

local used = {}
for i, tier in ipairs(tiers) do
  if count == 1 then used[i] = redis.call('ZCOUNT', STAMPS, '(' .. exact(now - tier[2]), '+inf') end
end
local changed = {'probe', probe}
for _, field in ipairs(FIELDS) do
  changed[#changed + 1] = field
  changed[#changed + 1] = exact(s[field])
end
redis.call('HSET', STATE, unpack(changed))
redis.call('PEXPIRE', STATE, exact(WEEK + math.ceil((max(0, s.pause - now) + s.keep) / 1000)))
if furthest > 0 then
  local newest = tonumber(redis.call('ZREVRANGE', STAMPS, 0, 0, 'WITHSCORES')[2] or now)
  redis.call('PEXPIRE', STAMPS, exact(60000 + math.ceil((max(0, newest - now) + s.keep) / 1000)))
end
local reply = {now, s.epoch, wait, max(0, s.pause - now), s.probing, lost and 1 or 0, s.hits, s.sleeps,
               s.slept - max(0, s.sleep_until - now), portion, #used}
for _, n in ipairs(used) do reply[#reply + 1] = n end
for _, offset in ipairs(granted) do reply[#reply + 1] = offset end
return reply
