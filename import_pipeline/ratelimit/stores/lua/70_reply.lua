-- exchange() of exchange.py, then everything back into its keys, and the reply.
begin()
prepare()
settle()
if is_inferring then with_inferred_tiers() end
log.forget(now - state.longest_window - FRESH)
if request.concurrent > 0 then in_flight.forget(now) end
local granted, wait = grant(is_inferring and inferred_tiers.probe_units() or {})
local flying = request.concurrent > 0 and in_flight.later_than(now) or 0
local used = {}
if request.count_units then
  for i, tier in ipairs(request.tiers) do used[i] = permits.taken(tier[1], tier[2], now - tier[2]) end
end

local function joined(row, from, separator)
  local texts = {}
  for i = from, #row do table.insert(texts, exact(row[i])) end
  return table.concat(texts, separator)
end
local texts = {probe = state.probe, profile = state.profile, inferred_tiers = '', trials = '', other_profiles = '',
               rate_rise = joined(state.rate_rise, 1, ':'), flight_rise = joined(state.flight_rise, 1, ':')}
for _, tier in ipairs(state.inferred_tiers) do
  texts.inferred_tiers = texts.inferred_tiers .. joined(tier, 1, ':') .. ';'
end
for permit, trial in pairs(state.trials) do
  texts.trials = texts.trials .. permit .. ' ' .. joined(trial, 1, ' ') .. ';'
end
for _, other in ipairs(state.other_profiles) do
  texts.other_profiles = texts.other_profiles .. other[1] .. '=' .. joined(other, 2, ':') .. ';'
end
local written = {}
for _, field in ipairs(FIELDS) do
  table.insert(written, field)
  table.insert(written, exact(state[field]))
end
for _, field in ipairs(TEXTS) do
  table.insert(written, field)
  table.insert(written, texts[field])
end
redis.call('HSET', API_STATE, unpack(written))
for field, units in pairs(changed) do
  if units > 0 then redis.call('HSET', BUCKET_COUNTS, field, exact(units)) else redis.call('HDEL', BUCKET_COUNTS, field) end
end

-- The keys matter for the longest window only. But a clock that is set an hour ahead must not expire one of them
-- without the others: no process would notice. So all have the same, generous expiry.
local MILLISECONDS_OF_WEEK = 604800000
local lasting = max(0, state.paused_until - now) + state.longest_window + 2 * state.longest_bucketed_window
local expiry = exact(MILLISECONDS_OF_WEEK + ceil(lasting / 1000))
redis.call('PEXPIRE', API_STATE, expiry)
redis.call('PEXPIRE', WINDOW_LOG, expiry)
if request.concurrent > 0 then redis.call('PEXPIRE', IN_FLIGHT_LOG, expiry) end
if loaded then redis.call('PEXPIRE', BUCKET_COUNTS, expiry) end

local reply = {now, state.epoch, wait, max(0, state.paused_until - now), state.probing, lost and 1 or 0,
               emptied and 1 or 0, state.hits, state.sleeps, slept(), allowed_fraction(), flying,
               state.inferred_concurrency, is_inferring and #request.tiers or 0, #used}
if is_inferring then
  for _, tier in ipairs(request.tiers) do
    table.insert(reply, tier[1])
    table.insert(reply, tier[2])
  end
end
for _, units in ipairs(used) do table.insert(reply, units) end
for _, start in ipairs(granted) do table.insert(reply, start - now) end
return reply
