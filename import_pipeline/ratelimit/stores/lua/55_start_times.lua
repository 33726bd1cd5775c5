-- start_times.py: the moments at which permits may start. An effective tier is {amount, window, is it bucketed}.
local CLEARLY = 8

function start_times.effective_tiers(probe_units)
  local fraction, credited, dearest, tiers = allowed_fraction(), latency_credit(), 1, {}
  for _, each in ipairs(request.wanted) do dearest = max(dearest, each.cost) end
  local function add(amount, effective, window)
    local allowed = max(dearest, floor(amount * fraction / WHOLE))
    table.insert(tiers, {allowed, effective, bucketed_window.is_bucketed(amount, window)})
  end
  for _, tier in ipairs(request.tiers) do add(tier[1], effective_window(tier[2], credited), tier[2]) end
  for _, tier in ipairs(probe_units) do add(tier[1], tier[2], tier[2]) end
  return tiers
end

function start_times.starts_by_tiers(tiers, costs)
  local starts, last_units, count = {}, {}, 0
  for i, cost in ipairs(costs) do
    count = count + cost
    starts[i], last_units[i] = now, count
  end
  for _, tier in ipairs(tiers) do
    local unit_starts = tier[3] and bucketed_window.unit_starts or start_times.unit_starts
    local moments = unit_starts(tier[1], tier[2], count)
    for i, last in ipairs(last_units) do starts[i] = max(starts[i], moments[last]) end
  end
  return starts
end

function start_times.unit_starts(amount, window, count)
  local reach, starts = min(count, amount), {}
  local newest = log.newest(amount - reach, reach)
  for unit = 1, count do
    local moment = newest[reach - unit + 1]
    if unit > reach then starts[unit] = now + window
    else starts[unit] = moment and max(now, min(moment, now) + window) or now end
  end
  return starts
end

function start_times.starts_by_concurrency(concurrent, inferred, count)
  local free = concurrent > 0 and max(0, concurrent - in_flight.later_than(now)) or count
  if inferred > 0 then free = min(free, max(0, inferred - log.later_than(now))) end
  local starts = {}
  for i = 1, count do starts[i] = i <= free and now or now + POLL end
  return starts
end

function start_times.limiting_guess(by_tier)
  local latest = 1
  for i, moment in ipairs(by_tier) do
    if moment > by_tier[latest] then latest = i end
  end
  local tier = request.tiers[latest]
  if not tier or by_tier[latest] - now < floor(tier[2] / CLEARLY) then return NO_GUESS, 0 end
  if state.learned_fraction < min(WHOLE, state.advertised_fraction) then return FRACTION, ceil(WHOLE / tier[1]) end
  for _, each in ipairs(state.inferred_tiers) do
    if each[2] == tier[2] and each[5] > 0 then return tier[2], 1 end
  end
  return NO_GUESS, 0
end

function start_times.raised_tiers(tiers, kind, height)
  local higher = {}
  for i, tier in ipairs(tiers) do
    local amount, configured = tier[1], request.tiers[i]
    if configured and kind == FRACTION then
      amount = min(max(amount, floor(configured[1] * state.advertised_fraction / WHOLE)), amount + height)
    elseif configured and kind == configured[2] then
      amount = amount + height
    end
    higher[i] = {amount, tier[2], tier[3]}
  end
  return higher
end

function start_times.trial_starts(tiers, granted)
  local costs, dearest, soon, first = {}, 1, now + request.look_ahead, granted + 1
  for i, each in ipairs(request.wanted) do costs[i], dearest = each.cost, max(dearest, each.cost) end
  local slots = start_times.starts_by_concurrency(request.concurrent, state.inferred_concurrency, #costs)
  local by_tier, latest = {}, now
  for i, tier in ipairs(tiers) do
    by_tier[i] = start_times.starts_by_tiers({tier}, costs)[first]
    latest = max(latest, by_tier[i])
  end
  local is_late = latest > soon
  if (slots[first] > soon) == is_late then return {} end
  local kind, units, more, height
  if is_late then
    kind, units = start_times.limiting_guess(by_tier)
    more, height = trials.allowance(state.rate_rise, kind)
    if state.inferred_concurrency > 0 then
      more = min(more, max(1, state.inferred_concurrency - 1) - log.later_than(now))
    end
    tiers = start_times.raised_tiers(tiers, kind, height * dearest)
  else
    kind, units = IN_FLIGHT, 1
    more, height = trials.allowance(state.flight_rise, kind)
    slots = start_times.starts_by_concurrency(request.concurrent, state.inferred_concurrency + height, #costs)
  end
  local by_tiers, starts = start_times.starts_by_tiers(tiers, costs), {}
  for i = first, min(#costs, granted + more) do
    local start = max(by_tiers[i], slots[i])
    if start > soon then break end
    local each = request.wanted[i]
    state.trials[each.permit] = {kind, start + each.lifetime, units * each.cost}
    table.insert(starts, start)
  end
  return starts
end
