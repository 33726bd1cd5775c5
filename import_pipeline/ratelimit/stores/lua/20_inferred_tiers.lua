-- inferred_tiers.py: tiers of an API without configured limits. A tier is {amount, window, last sign of it, shortest
-- possible window, first amount if a refusal led to it}.
local MOST_TIERS, LONGEST_LOOK, LOOK_BACK = 6, 3600 * SECOND, 10
local ROUNDING, SKEW, REPORT_DELAY = SECOND / 4, SECOND / 20, SECOND
local ANSWERED_TOGETHER, JOIN = SECOND / 2, SECOND / 2
local TIER_LIFETIME = 86400 * SECOND
local SMALLEST_FRACTION = WHOLE / 10

function inferred_tiers.update()
  for i = #state.inferred_tiers, 1, -1 do
    if now >= state.inferred_tiers[i][3] + TIER_LIFETIME then table.remove(state.inferred_tiers, i) end
  end
  for _, each in ipairs(request.advertised_limits) do
    inferred_tiers.update_from_headers(each)
    for _, tier in ipairs(state.inferred_tiers) do
      if each.used >= each.limit and tier[1] == each.limit then
        state.advertised_full_at = max(state.advertised_full_at, now - each.age)
      end
    end
  end
  local refused_at, longest_wait
  for _, each in ipairs(request.settled) do
    if each.outcome == 'r' and not state.trials[each.permit] then
      refused_at = min(refused_at or now, now - each.age)
      longest_wait = max(longest_wait or each.wait, each.wait)
    end
  end
  if refused_at and state.paused_until <= now and state.refused_at == 0 then state.refused_at = refused_at end
  if refused_at and state.refused_at > 0 then
    local look_back = LOOK_BACK * (now - state.refused_at + longest_wait)
    state.longest_window = max(state.longest_window, min(LONGEST_LOOK, look_back))
  end
  for _, tier in ipairs(state.inferred_tiers) do
    state.longest_window = max(state.longest_window, min(LONGEST_LOOK, LOOK_BACK * tier[2]))
  end
end

function inferred_tiers.possible_windows(advertised)
  if advertised.window > 0 then
    local window = ceil(advertised.window / SECOND) * SECOND
    return window, window
  end
  local moment, before = now - advertised.age, advertised.used - 1
  local skew, rounding = SKEW, 0
  if inferred_tiers.is_in_whole_seconds(advertised) then skew, rounding = 0, advertised.limit > 1 and SECOND or 0 end
  local more = advertised.latency + skew + rounding
  if before < 1 then return advertised.reset - skew, advertised.reset + more end
  local shortest = inferred_tiers.age_of_newest(before, moment) or 0
  local longest = inferred_tiers.age_of_newest(before + log.later_than(moment), moment)
                  or max(shortest, min(now - state.epoch, REPORT_DELAY))
  return advertised.reset + shortest - skew, advertised.reset + longest + more
end

function inferred_tiers.is_in_whole_seconds(advertised) return advertised.reset % SECOND == 0 end

function inferred_tiers.age_of_newest(skipped, moment)
  local oldest = log.newest(skipped, 1)[1]
  return oldest and max(0, moment - oldest)
end

function inferred_tiers.update_from_headers(advertised)
  local earliest, latest = inferred_tiers.possible_windows(advertised)
  local least, longest = inferred_tiers.whole_seconds(earliest), inferred_tiers.whole_seconds(latest)
  local is_named = advertised.window > 0
  for _, tier in ipairs(state.inferred_tiers) do
    local amount, window, shortest = tier[1], tier[2], tier[4]
    if amount == advertised.limit then
      local surely = is_named and least or inferred_tiers.whole_seconds(earliest - ROUNDING)
      if surely > window then
        window, shortest = min(longest, least + SECOND), least
      elseif not bucketed_window.is_bucketed(amount, window) then
        if is_named or not inferred_tiers.is_in_whole_seconds(advertised) then
          shortest = min(max(shortest, least), window)
          window = max(shortest, min(window, longest))
        end
        if not is_named then
          shortest, window = inferred_tiers.narrow_by_count(advertised, shortest, window, longest)
        end
      end
      if window > tier[2] then inferred_tiers.lengthen(tier, window, min(advertised.used, amount)) end
      tier[2], tier[3], tier[4], tier[5] = window, now, shortest, 0
      return
    end
  end
  if (is_named or advertised.reset > 0) and not inferred_tiers.is_implied(advertised.limit, longest) then
    if #state.inferred_tiers == 0 then state.rejoin_until = max(state.rejoin_until, now + JOIN) end
    inferred_tiers.add_tier({advertised.limit, longest, now, least, 0}, min(advertised.used, advertised.limit))
  end
end

function inferred_tiers.narrow_by_count(advertised, shortest, believed, longest)
  local sent = now - advertised.age - advertised.latency
  if sent < state.rejoin_until or advertised.used == 0 then return shortest, believed end
  local oldest = inferred_tiers.age_of_newest(advertised.used - 1, sent) or 0
  local is_over = advertised.used > advertised.limit
  if is_over and oldest + 2 * advertised.latency >= believed and state.refused_at == 0 then
    return believed + SECOND, believed + SECOND
  end
  shortest = min(max(shortest, (floor(oldest / SECOND) + 1) * SECOND), believed)
  local left = inferred_tiers.age_of_newest(log.later_than(sent) + advertised.used - 1, now - advertised.age)
  local at_most = left and inferred_tiers.whole_seconds(left + advertised.latency + SKEW) or believed
  local is_conclusive = shortest < longest or shortest == SECOND
  if is_conclusive and shortest <= at_most and at_most < believed then believed = at_most end
  return shortest, believed
end

function inferred_tiers.probe_units()
  local kept_back = {}
  for _, tier in ipairs(state.inferred_tiers) do
    local amount, window, shortest = tier[1], tier[2], tier[4]
    if shortest < window and amount > 1 and not bucketed_window.is_bucketed(amount, window) then
      table.insert(kept_back, {amount - 1, shortest + SKEW})
    end
  end
  return kept_back
end

function inferred_tiers.lengthen(tier, window, used)
  local amount, old = tier[1], tier[2]
  for _, other in ipairs(state.inferred_tiers) do
    if other[2] == window and bucketed_window.is_bucketed(other[1], window) then return end
  end
  if not bucketed_window.is_bucketed(amount, window) then return end
  if bucketed_window.is_bucketed(amount, old) then
    bucketed_window.carry_over(old, window, used + log.later_than(now))
  else
    inferred_tiers.start_counting(window, used)
  end
end

function inferred_tiers.start_counting(window, used)
  bucketed_window.add(window, now, used)
  for _, moment in ipairs(log.newest(0, log.later_than(now))) do bucketed_window.add(window, moment, 1) end
end

function inferred_tiers.add_or_lower(amount, window)
  for _, tier in ipairs(state.inferred_tiers) do
    if tier[2] == window then
      tier[1], tier[3] = max(1, min(amount, tier[1] - max(1, floor(tier[1] / 10)))), now
      return true
    end
  end
  if inferred_tiers.is_implied(amount, window) then return false end
  inferred_tiers.add_tier({amount, window, now, window, amount}, amount)
  return true
end

function inferred_tiers.add_tier(tier, used)
  table.insert(state.inferred_tiers, tier)
  if #state.inferred_tiers > MOST_TIERS then table.remove(state.inferred_tiers, 1) end
  if bucketed_window.is_bucketed(tier[1], tier[2]) then inferred_tiers.start_counting(tier[2], used) end
end

function inferred_tiers.infer_from_refusal(moment)
  local refused_at = state.refused_at
  state.refused_at = 0
  if state.advertised_full_at >= refused_at then return end
  local since = moment - LOOK_BACK * max(0, moment - refused_at)
  local together_until = min((log.first_after(since) or 0) + ANSWERED_TOGETHER, moment - 1)
  local till = max(refused_at, together_until)
  local admitted = {}
  for _, each in ipairs(log.newest(0, log.later_than(since))) do
    if each <= till then table.insert(admitted, each) end
  end
  if #admitted == 0 then admitted = {refused_at} end
  local best, best_window = 0, 1
  for number, each in ipairs(admitted) do
    local window = moment - each
    local is_faster = number * best_window >= best * window
    if is_faster and not inferred_tiers.is_implied(number, inferred_tiers.whole_seconds(window)) then
      best, best_window = number, window
    end
  end
  if best == 0 or not inferred_tiers.add_or_lower(best, inferred_tiers.whole_seconds(best_window)) then
    state.learned_fraction = max(SMALLEST_FRACTION, state.learned_fraction - floor(state.learned_fraction / 10))
  end
  trials.rate_lowered()
end

function inferred_tiers.whole_seconds(window) return max(SECOND, floor(window / SECOND) * SECOND) end

function inferred_tiers.is_implied(amount, window)
  for _, tier in ipairs(state.inferred_tiers) do
    if tier[1] * ceil(window / tier[2]) <= amount then return true end
  end
  return false
end

function inferred_tiers.tiers()
  local tiers = {}
  for i, tier in ipairs(state.inferred_tiers) do tiers[i] = {tier[1], tier[2]} end
  return tiers
end
