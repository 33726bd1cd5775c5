-- exchange.py, first half: everything in a request but the permits that it wants.
local NO_HINT, NEAR, FRESH = -SECOND, 8, 2 * SECOND
local is_inferring = #request.tiers == 0

local function is_logged() return state.refused_at > 0 or state.inferred_concurrency > 0 end

local function with_inferred_tiers()
  request.tiers = inferred_tiers.tiers()
  permits.use(request.tiers)
end

local function describes_another_limit(remaining, amount, sent)
  for _, tier in ipairs(request.tiers) do
    local smaller, window = tier[1], tier[2]
    if smaller < amount and not bucketed_window.is_bucketed(smaller, window) then
      local most = log.later_than(sent - window)
      local least = log.later_than(sent - window + floor(window / NEAR)) - log.later_than(sent)
      if least <= smaller - remaining and smaller - remaining <= most then return true end
    end
  end
  return false
end

local function count_others()
  for _, each in ipairs(request.reported_usage) do
    local amount, window = unpack(request.tiers[each.tier])
    if each.age <= FRESH then
      local others = min(each.used, amount) - permits.taken(amount, window, now - each.age - window)
      if others > 0 and describes_another_limit(amount - each.used, amount, now - each.age) then others = 0 end
      if bucketed_window.is_bucketed(amount, window) then
        if others > 0 then bucketed_window.add(window, now, others) end
      else
        for number = 0, others - 1 do
          permits.put('other ' .. exact(now) .. ' ' .. (each.tier - 1) .. ' ' .. number, 1, now)
        end
      end
    end
  end
end

local function restore_buckets()
  for _, tier in ipairs(request.tiers) do
    if bucketed_window.is_bucketed(tier[1], tier[2]) then
      for _, each in ipairs(request.bucket_counts) do bucketed_window.add(tier[2], now - each.age, each.units) end
    end
  end
end

local function prepare()
  trials.drop_expired()
  select_profile(request.tiers)
  correct()
  if is_inferring then
    inferred_tiers.update()
    with_inferred_tiers()
  end
  permits.use(request.tiers)
  for _, tier in ipairs(request.tiers) do
    if not bucketed_window.is_bucketed(tier[1], tier[2]) then
      state.longest_window = max(state.longest_window, tier[2])
    end
  end
  apply_advertised(request.advertised_fraction)
  record_latency(request.latencies)
  count_others()
  restore_buckets()
end

local function window_at_refusal(tier, moment)
  local amount, window = tier[1], tier[2]
  local taken_fraction = floor(permits.taken(amount, window, moment - window) * WHOLE / amount)
  if bucketed_window.is_bucketed(amount, window) then
    local free = bucketed_window.first_free(window)
    return {taken_fraction = taken_fraction, frees_in = free and free - moment or window}
  end
  local oldest = log.first_after(moment - window)
  return {taken_fraction = taken_fraction, frees_in = oldest and min(oldest - moment, 0) + window or window}
end

local function refuse(each, teaches)
  local moment, again = now - each.age, state.paused_until <= now
  local is_explained = trials.refused(each.permit, again)
  local function taken(since) return log.later_than(moment - since) end
  if again and not is_explained then
    local refusal = {moment = moment, sent = moment - each.latency, beside = taken(each.latency),
                     in_flight = log.later_than(now)}
    is_explained = trials.explain(refusal, taken)
    if is_explained then state.refused_at = 0 end
  end
  if is_explained or not again then trials.undo_raises(taken) end
  pause(moment + each.wait, each.is_guess)
  if teaches and not is_explained then
    local windows = {}
    for i, tier in ipairs(request.tiers) do windows[i] = window_at_refusal(tier, moment) end
    tighten(each.is_guess and NO_HINT or each.wait, windows, again)
  end
end

local function keep_units(each)
  local permit, outcome, moment = each.permit, each.outcome, now - each.age + each.wait
  if outcome == 'c' then
    moment = moment + latency_credit()
    state.trials[permit] = nil
  end
  if outcome == 'a' then
    trials.count_admitted(moment, each.latency)
    trials.admitted(permit)
  end
  if #request.tiers > 0 or is_logged() then permits.put(permit, each.cost, moment) end
  if request.concurrent > 0 and outcome == 'f' then in_flight.put(permit, moment) end
  if permit == state.probe and outcome == 'c' then state.probing, state.probe = 1, '' end
  if permit == state.probe and outcome == 'a' then
    state.probing, state.probe = 0, ''
    trials.judge_crowd()
    if is_inferring and state.refused_at > 0 then
      inferred_tiers.infer_from_refusal(moment)
      with_inferred_tiers()
    end
  end
end

local function settle()
  for _, each in ipairs(request.settled) do
    local permit, outcome = each.permit, each.outcome
    if request.concurrent > 0 then in_flight.remove(permit) end
    if outcome == 'a' or outcome == 'c' or outcome == 'f' then
      keep_units(each)
    else
      permits.remove(permit, each.cost)
      local was_probe = permit == state.probe
      if was_probe then state.probing, state.probe = 1, '' end
      if outcome == 'h' then
        be_strict()
        trials.refused(permit, state.paused_until <= now)
        pause(now - each.age + each.wait, each.is_guess)
      end
      if outcome == 'r' then refuse(each, not was_probe and not is_inferring) else state.trials[permit] = nil end
    end
  end
end
