-- Settle permits of one API and grant new ones, in one atomic step. All times are microseconds.
--
-- The files of this folder are one script, in the order of their names. Each function has a twin of the same name in
-- algorithm/*.py, and a table stands for its module: bucketed_window.add here is add() in bucketed_window.py. The
-- docstrings and the reasons are there. `state`, `log`, `request` and `now`, which Python passes on, are locals here.
--
-- KEYS  the window log (permit's unit -> latest moment at which the server can have counted it), the API's state,
--       requests in flight (permit -> latest arrival), bucket counts (window:bucket -> units taken)
-- ARGV  look_ahead, count_units, epoch and moment that this process saw last, elapsed there since,
--       advertised_fraction, samples, warm_samples, lowest_latency, latency_sum, concurrent, lift_pause, source,
--       the numbers of tiers, reported_usage, advertised_limits, bucket_counts, refuted_limits and settled, then
--       (amount, window)..., (tier, used, age)..., (limit, used, reset, window, age, latency)..., (units, age)...,
--       (limit)..., (permit, outcome, age, wait, cost, is_guess, latency)..., (permit, lifetime, cost)...
local WINDOW_LOG, API_STATE, IN_FLIGHT_LOG, BUCKET_COUNTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local SECOND = 1000000
local WHOLE = 1000000
local GAP, POLL, REJOIN = SECOND, SECOND / 20, 2 * SECOND
local SLACK = SECOND / 4 -- how long a call may be delayed
local max, min, floor, ceil = math.max, math.min, math.floor, math.ceil
local inferred_tiers, trials, bucketed_window, permits, start_times = {}, {}, {}, {}, {}
local function exact(number) return string.format('%.0f', number) end

local FIELDS = {'clock_offset', 'last_now', 'epoch', 'previous_epoch', 'rejoin_until', 'paused_until', 'hinted_until',
                'probing', 'probe_until', 'hits', 'sleeps', 'slept', 'sleep_until', 'asleep', 'longest_window',
                'longest_bucketed_window', 'learned_fraction', 'advertised_fraction', 'advertised_at',
                'inferred_concurrency', 'crowd_size', 'crowd_from', 'crowd_until', 'crowd_admitted',
                'refused_concurrency', 'concurrency_blamed', 'last_raised', 'lowest_latency', 'lowest_latency_before',
                'samples', 'samples_before', 'warm_samples', 'warm_samples_before', 'latency_sum',
                'latency_sum_before', 'period_started', 'strict_until', 'refused_at', 'advertised_full_at'}
local TEXTS = {'probe', 'profile', 'other_profiles', 'inferred_tiers', 'trials', 'rate_rise', 'flight_rise'}
local state, stored = {}, {}
for i, value in ipairs(redis.call('HMGET', API_STATE, unpack(FIELDS))) do state[FIELDS[i]] = tonumber(value or 0) end
for i, value in ipairs(redis.call('HMGET', API_STATE, unpack(TEXTS))) do stored[TEXTS[i]] = value or '' end
if state.epoch == 0 then state.learned_fraction, state.advertised_fraction = WHOLE, WHOLE end

local function read_rise(text)
  local rise = {}
  for number in string.gmatch(text, '%d+') do rise[#rise + 1] = tonumber(number) end
  return #rise > 0 and rise or {1, 0, 0, 0}
end
state.probe, state.profile = stored.probe, stored.profile
state.rate_rise, state.flight_rise = read_rise(stored.rate_rise), read_rise(stored.flight_rise)
state.inferred_tiers, state.trials, state.other_profiles = {}, {}, {}
for amount, window, last_sign, shortest, first in
  string.gmatch(stored.inferred_tiers, '(%d+):(%d+):(%d+):(%d+):(%d+);') do
  table.insert(state.inferred_tiers,
               {tonumber(amount), tonumber(window), tonumber(last_sign), tonumber(shortest), tonumber(first)})
end
for permit, kind, latest, units in string.gmatch(stored.trials, '(%S+) (%-?%d+) (%d+) (%d+);') do
  state.trials[permit] = {tonumber(kind), tonumber(latest), tonumber(units)}
end
for tiers, learned, advertised, at in string.gmatch(stored.other_profiles, '([%d/,]*)=(%d+):(%d+):(%d+);') do
  table.insert(state.other_profiles, {tiers, tonumber(learned), tonumber(advertised), tonumber(at)})
end

local position = 0
local function text() position = position + 1; return ARGV[position] end
local function number() return tonumber(text()) end
local function rows(count, columns)
  local read = {}
  for i = 1, count do
    read[i] = {}
    for _, column in ipairs(columns) do read[i][column] = number() end
  end
  return read
end
local request = {look_ahead = number(), count_units = number() == 1}
local epoch, last_seen, elapsed = number(), number(), number()
request.advertised_fraction = number()
request.latencies = {samples = number(), warm_samples = number(), lowest_latency = number(), latency_sum = number()}
request.concurrent, request.lift_pause, request.source = number(), number() == 1, text()
local n_tiers, n_usages, n_limits, n_counts, n_refuted, n_settled =
  number(), number(), number(), number(), number(), number()
request.tiers = rows(n_tiers, {1, 2})
request.reported_usage = rows(n_usages, {'tier', 'used', 'age'})
request.advertised_limits = rows(n_limits, {'limit', 'used', 'reset', 'window', 'age', 'latency'})
request.bucket_counts = rows(n_counts, {'units', 'age'})
request.refuted_limits, request.settled, request.wanted = {}, {}, {}
for _ = 1, n_refuted do request.refuted_limits[number()] = true end
for i = 1, n_settled do
  request.settled[i] = {permit = text(), outcome = text(), age = number(), wait = number(), cost = number(),
                        is_guess = number() == 1, latency = number()}
end
while position < #ARGV do table.insert(request.wanted, {permit = text(), lifetime = number(), cost = number()}) end

-- The clock never goes back. If it ran further ahead than the time that passed for the calling process, and than a call
-- may be delayed, it was set: then that process's own measure counts.
local now, lost, emptied
local function tick()
  local time = redis.call('TIME')
  local raw = time[1] * SECOND + time[2]
  now = raw + state.clock_offset
  if last_seen > 0 and now > last_seen + elapsed + SLACK then now = last_seen + elapsed end
  now = max(now, state.last_now)
  state.clock_offset, state.last_now = now - raw, now
end
local function begin()
  local rolled_back = last_seen > state.last_now
  lost = epoch > 0 and (rolled_back or epoch ~= state.epoch)
  tick()
  emptied = lost and epoch ~= state.epoch and epoch ~= state.previous_epoch
  if state.epoch == 0 or (rolled_back and epoch == state.epoch) then
    state.previous_epoch, state.epoch, state.rejoin_until = state.epoch, now, 0
  end
  if lost and state.rejoin_until == 0 then state.rejoin_until = now + REJOIN end
end

local function begin_wait(till)
  local start = max(now, state.sleep_until)
  if state.asleep == 1 and now <= state.sleep_until + GAP then start = state.sleep_until
  elseif till > start then state.sleeps = state.sleeps + 1 end
  if till > start then
    state.slept = state.slept + till - start
    state.sleep_until, state.asleep = till, 1
  end
end
local function end_wait(start)
  if state.asleep == 1 and start <= state.sleep_until + GAP then
    state.slept = state.slept + start - state.sleep_until
    state.sleep_until = start
  end
  state.asleep = 0
end
local function slept() return state.slept - max(0, state.sleep_until - now) end
local function pause(till, is_guess)
  state.hits, state.paused_until = state.hits + 1, max(state.paused_until, till)
  if not is_guess then state.hinted_until = max(state.hinted_until, till) end
  if state.paused_until > now then
    state.probing = 1
    begin_wait(state.paused_until)
  end
end
local function blocked_until()
  local till = max(state.paused_until, state.rejoin_until)
  if state.probing == 2 then till = max(till, min(state.probe_until, now + POLL)) end
  return till
end

-- window_log.py, on a sorted set.
local function WindowLog(key)
  local log = {}
  local function scores(reply)
    local moments = {}
    for i = 2, #reply, 2 do moments[i / 2] = tonumber(reply[i]) end
    return moments
  end
  function log.put(permit, moment) redis.call('ZADD', key, exact(moment), permit) end
  function log.remove(permit) redis.call('ZREM', key, permit) end
  function log.moment(permit) return tonumber(redis.call('ZSCORE', key, permit) or nil) end
  function log.newest(skip, count)
    if count <= 0 then return {} end
    return scores(redis.call('ZREVRANGE', key, exact(skip), exact(skip + count - 1), 'WITHSCORES'))
  end
  function log.later_than(moment) return redis.call('ZCOUNT', key, '(' .. exact(moment), '+inf') end
  function log.first_after(moment)
    return scores(redis.call('ZRANGEBYSCORE', key, '(' .. exact(moment), '+inf', 'WITHSCORES', 'LIMIT', 0, 1))[1]
  end
  function log.forget(till) redis.call('ZREMRANGEBYSCORE', key, '-inf', exact(till)) end
  return log
end
local log, in_flight = WindowLog(WINDOW_LOG), WindowLog(IN_FLIGHT_LOG)
