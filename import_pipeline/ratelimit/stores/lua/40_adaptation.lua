-- adaptation.py: configured tiers adapt to a server that grants less, and the latency is credited.
local STRICT_AFTER, EARLY, LATE = 120 * SECOND, SECOND / 4, SECOND + SECOND / 4
local PERIOD, SAMPLES, WARM_SAMPLES, LONGEST_CREDITED = 60 * SECOND, 20, 10, 10 * SECOND
local KEPT_PROFILES = 4

local function name_of(tiers)
  local names = {}
  for i, tier in ipairs(tiers) do names[i] = exact(tier[1]) .. '/' .. exact(tier[2]) end
  return table.concat(names, ',')
end
local function select_profile(tiers)
  local name = name_of(tiers)
  if name == state.profile then return end
  local others, known = {}, {name, WHOLE, WHOLE, 0}
  for _, other in ipairs(state.other_profiles) do
    if other[1] == name then known = other else table.insert(others, other) end
  end
  table.insert(others, {state.profile, state.learned_fraction, state.advertised_fraction, state.advertised_at})
  if #others > KEPT_PROFILES then table.remove(others, 1) end
  state.learned_fraction, state.advertised_fraction, state.advertised_at = known[2], known[3], known[4]
  state.profile, state.other_profiles = name, others
end

local function be_strict() state.strict_until = now + max(STRICT_AFTER, 5 * state.longest_window) end

local function tighten(wait, windows, again)
  local certain, fullest = -1, 0
  for _, each in ipairs(windows) do
    fullest = max(fullest, each.taken_fraction)
    if each.frees_in - EARLY <= wait and wait <= each.frees_in + LATE then
      certain = max(certain, each.taken_fraction)
    end
  end
  local fraction = max(SMALLEST_FRACTION, certain >= 0 and certain or fullest)
  if again then
    if state.learned_fraction < WHOLE and state.rate_rise[RAISED] == 0 then
      local a_tenth_less = state.learned_fraction - floor(state.learned_fraction / 10)
      fraction = max(SMALLEST_FRACTION, min(fraction, a_tenth_less))
    end
    trials.rate_lowered()
  end
  state.learned_fraction = min(state.learned_fraction, fraction)
  be_strict()
end

local function apply_advertised(fraction)
  local is_due = now >= state.advertised_at + max(PERIOD, state.longest_window)
  if fraction > 0 and (fraction <= state.advertised_fraction or is_due) then
    state.advertised_fraction, state.advertised_at = fraction, now
  end
end

local function allowed_fraction() return min(state.learned_fraction, state.advertised_fraction) end

local function record_latency(latencies)
  if now >= state.period_started + PERIOD then
    local is_recent = now < state.period_started + 2 * PERIOD
    state.lowest_latency_before = is_recent and state.lowest_latency or 0
    state.samples_before = is_recent and state.samples or 0
    state.warm_samples_before = is_recent and state.warm_samples or 0
    state.latency_sum_before = is_recent and state.latency_sum or 0
    state.lowest_latency, state.samples, state.warm_samples, state.latency_sum = 0, 0, 0, 0
    state.period_started = now
  end
  if latencies.samples > 0 then
    local lowest = state.lowest_latency > 0 and state.lowest_latency or latencies.lowest_latency
    state.lowest_latency = min(lowest, latencies.lowest_latency)
    state.samples = state.samples + latencies.samples
    state.warm_samples = state.warm_samples + latencies.warm_samples
    state.latency_sum = state.latency_sum + latencies.latency_sum
  end
end

local function latency_credit()
  local samples = state.samples + state.samples_before
  local warm_samples = state.warm_samples + state.warm_samples_before
  if samples < SAMPLES or warm_samples < WARM_SAMPLES or now < state.strict_until then return 0 end
  local lowest = min(state.lowest_latency > 0 and state.lowest_latency or state.lowest_latency_before,
                     state.lowest_latency_before > 0 and state.lowest_latency_before or state.lowest_latency)
  local spread = max(0, floor((state.latency_sum + state.latency_sum_before) / samples) - lowest)
  return max(0, lowest - max(SECOND / 100, floor(lowest / 10), floor(4 * spread / floor(math.sqrt(samples)))))
end

local function effective_window(window, credited)
  return window <= LONGEST_CREDITED and window - min(credited, floor(window / 4)) or window
end

-- corrections.py: what was learned is dropped if a person or an answer shows that it no longer holds. The configured
-- limits of each source have a field of their own.
local function configure(source, tiers, concurrent)
  local field, limits = 'limits of ' .. source, name_of(tiers) .. ';' .. exact(concurrent)
  local before = redis.call('HGET', API_STATE, field)
  if before and before ~= limits then
    state.paused_until = min(state.paused_until, state.hinted_until)
    state.learned_fraction, state.advertised_fraction, state.advertised_at = WHOLE, WHOLE, 0
    state.other_profiles, state.inferred_tiers, state.inferred_concurrency = {}, {}, 0
    trials.reset()
    state.refused_at, state.advertised_full_at, state.strict_until = 0, 0, 0
  end
  redis.call('HSET', API_STATE, field, limits)
end

local function lift_pause() state.paused_until, state.hinted_until = 0, 0 end

local function refute(limits)
  if not next(limits) then return end
  state.advertised_fraction = WHOLE
  for i = #state.inferred_tiers, 1, -1 do
    if limits[state.inferred_tiers[i][1]] then table.remove(state.inferred_tiers, i) end
  end
end

local function correct()
  if request.source ~= '' then configure(request.source, request.tiers, request.concurrent) end
  if request.lift_pause then lift_pause() end
  refute(request.refuted_limits)
end
