-- Settles permits of one api and grants new ones, in one atomic step. rule.py does the same in Python. Microseconds.
-- The parts of this folder are one script, in the order of their names.
-- KEYS  stamps: place -> the latest moment at which the server can have counted it; state: what all processes share;
--       flying: permit in flight -> when it no longer can be; counts: window:hundredth -> places taken of a long tier
-- ARGV  look_ahead, count, epoch and moment last seen by this process, elapsed there since, told, quickest, samples,
--       standing, spent, concurrent, lift, source, #tiers, #sightings, #named, #counted, #refuted, #settled,
--       (amount, window)..., (tier, used, age)..., (limit, used, reset, window, age, took)..., (places, age)...,
--       (limit)..., (permit, outcome, age, wait, cost, is_guess, took)..., (permit, lifetime, cost)...
local STAMPS, STATE, FLYING, COUNTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local SECOND, SLACK, GAP, POLL, REJOIN, FRESH, WEEK = 1000000, 250000, 1000000, 50000, 2000000, 2000000, 604800000
local WHOLE, LEAST = 1000000, 100000
local FIELDS = {'offset', 'seen', 'epoch', 'hold', 'pause', 'probing', 'probe_until', 'hits', 'sleeps', 'slept',
                'sleep_until', 'asleep', 'keep', 'learned', 'told', 'told_at', 'quickest',
                'quickest_before', 'samples', 'samples_before', 'turned', 'strict_until', 'before', 'refused_at',
                'longest', 'spent', 'spent_before', 'standing', 'standing_before', 'named_full_at', 'hinted', 'at_once',
                'crowd', 'crowd_at', 'crowd_till', 'landed', 'crowded_at', 'blamed', 'raised', 'rate_step', 'rate_rest', 'rate_gap', 'rate_raised',
                'flight_step', 'flight_rest', 'flight_gap', 'flight_raised'}
local max, min, floor, ceil = math.max, math.min, math.floor, math.ceil
local at = 0
local function text() at = at + 1; return ARGV[at] end
local function number() return tonumber(text()) end
local function exact(n) return string.format('%.0f', n) end
local function numbers(rows, columns)
  local read = {}
  for i = 1, rows do
    read[i] = {}
    for j = 1, columns do read[i][j] = number() end
  end
  return read
end

local s = {}
for i, value in ipairs(redis.call('HMGET', STATE, unpack(FIELDS))) do s[FIELDS[i]] = tonumber(value or 0) end
local probe, lessons_of, set_aside = unpack(redis.call('HMGET', STATE, 'probe', 'lessons_of', 'set_aside'))
probe, lessons_of, set_aside = probe or '', lessons_of or '', set_aside or ''
local found, newly_long = {}, {}
for amount, window, sign, least, first in
  string.gmatch(redis.call('HGET', STATE, 'found') or '', '(%d+):(%d+):(%d+):?(%d*):?(%d*)') do
  found[#found + 1] = {tonumber(amount), tonumber(window), tonumber(sign), tonumber(least) or tonumber(window),
                       tonumber(first) or 0}
end
if s.epoch == 0 then s.learned, s.told = WHOLE, WHOLE end
s.rate_step, s.flight_step = max(1, s.rate_step), max(1, s.flight_step)
local look_ahead, count, epoch, seen, elapsed = number(), number(), number(), number(), number()
local told, quickest, samples, standing, spent = number(), number(), number(), number(), number()
local concurrent, lift, source = number(), number() == 1, text()
local n_tiers, n_sightings, n_named, n_counted, n_refuted, n_settled = number(), number(), number(), number(), number(), number()
local tiers = numbers(n_tiers, 2)
local sightings, named, counted = numbers(n_sightings, 3), numbers(n_named, 6), numbers(n_counted, 2)
local refuted = {}
for _ = 1, n_refuted do refuted[number()] = true end
local configured = n_tiers > 0
local settled, wanted = {}, {}
for i = 1, n_settled do
  settled[i] = {permit = text(), outcome = text(), age = number(), wait = number(), cost = number(),
                is_guess = number() == 1, took = number()}
end
while at < #ARGV do wanted[#wanted + 1] = {permit = text(), lifetime = number(), cost = number()} end

-- The clock never goes back. Where it ran further ahead than time has passed for whoever asks, and than a call may be
-- delayed, it was set: then the asker's own measure counts.
local time = redis.call('TIME')
local raw = time[1] * 1000000 + time[2]
local now = raw + s.offset
if seen > 0 and now > seen + elapsed + SLACK then now = seen + elapsed end
now = max(now, s.seen)
local rolled_back = seen > s.seen
s.offset, s.seen = now - raw, now

-- A store that was emptied or set back waits until every living process has told again what it knows.
local lost = epoch > 0 and (rolled_back or epoch ~= s.epoch)
local emptied = lost and epoch ~= s.epoch and epoch ~= s.before
if s.epoch == 0 or (rolled_back and epoch == s.epoch) then s.before, s.epoch, s.hold = s.epoch, now, 0 end
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
