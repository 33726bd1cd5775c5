-- trials.py: requests above a guessed limit, whose answers decide if the guess rises.
local FIRST_REST, LONGEST_REST, FIRST_FLIGHT_REST, LEAST_STEP, FORGOTTEN_AT = 100, 1600, 20, 4, 8
local CONCURRENCY_LIFETIME = 3600 * SECOND
local STEP, REST, GAP_OF_RISE, RAISED = 1, 2, 3, 4
local NO_GUESS, IN_FLIGHT, FRACTION = -2, -1, 0

function trials.drop_expired()
  if now >= state.crowd_from + CONCURRENCY_LIFETIME then state.inferred_concurrency = 0 end
  for permit, trial in pairs(state.trials) do
    if trial[2] <= now then state.trials[permit] = nil end
  end
end

function trials.reset() state.trials, state.rate_rise, state.flight_rise = {}, {1, 0, 0, 0}, {1, 0, 0, 0} end

function trials.are_due()
  local is_rate_guessed = state.learned_fraction < WHOLE
  for _, tier in ipairs(state.inferred_tiers) do is_rate_guessed = is_rate_guessed or tier[5] > 0 end
  return (is_rate_guessed and state.rate_rise[REST] == 0)
         or (state.inferred_concurrency > 0 and state.flight_rise[REST] == 0)
end

function trials.allowance(rise, kind)
  if kind == NO_GUESS or rise[REST] > 0 then return 0, 0 end
  local under_way = 0
  for _, trial in pairs(state.trials) do
    if (trial[1] == IN_FLIGHT) == (kind == IN_FLIGHT) then under_way = under_way + 1 end
  end
  local most = kind == IN_FLIGHT and 1 or rise[STEP]
  return max(0, most - under_way), most
end

function trials.count_granted(count)
  for _, rise in ipairs({state.rate_rise, state.flight_rise}) do rise[REST] = max(0, rise[REST] - count) end
end

function trials.admitted(permit)
  local trial = state.trials[permit]
  if not trial then return end
  state.trials[permit] = nil
  local kind, units = trial[1], trial[3]
  if kind == IN_FLIGHT then
    trials.raise_concurrency()
  elseif kind == FRACTION then
    state.learned_fraction, state.last_raised = min(WHOLE, state.learned_fraction + units), kind
    trials.raise_step(state.rate_rise, floor(state.learned_fraction / units))
  else
    local kept = {}
    for _, tier in ipairs(state.inferred_tiers) do
      if tier[2] == kind and tier[5] > 0 then
        tier[1], tier[3], state.last_raised = tier[1] + units, now, kind
        trials.raise_step(state.rate_rise, tier[1])
      end
      if tier[5] == 0 or tier[1] < FORGOTTEN_AT * tier[5] then table.insert(kept, tier) end
    end
    state.inferred_tiers = kept
  end
end

function trials.refused(permit, again)
  local trial = state.trials[permit]
  if not trial then return false end
  state.trials[permit] = nil
  if again then
    trials.back_off_kind(trial[1])
    if trial[1] ~= IN_FLIGHT and state.flight_rise[GAP_OF_RISE] == 0 then state.inferred_concurrency = 0 end
  end
  return true
end

function trials.raise_concurrency()
  local rise = state.flight_rise
  rise[RAISED] = rise[RAISED] + 1
  if state.inferred_concurrency > 0 and rise[RAISED] >= state.inferred_concurrency then
    state.inferred_concurrency = state.inferred_concurrency + 1
    rise[STEP], rise[RAISED] = rise[STEP] + 1, 0
    if rise[STEP] > LEAST_STEP then rise[GAP_OF_RISE] = 0 end
    if state.inferred_concurrency >= state.refused_concurrency and rise[GAP_OF_RISE] == 0 then
      state.inferred_concurrency = 0
    end
  end
end

function trials.raise_step(rise, guess)
  local most = max(LEAST_STEP, floor(guess / 8))
  rise[STEP] = min(rise[STEP] + 1, most)
  rise[RAISED] = rise[RAISED] + 1
  if rise[RAISED] > most then rise[GAP_OF_RISE] = 0 end
end

function trials.back_off_kind(kind)
  trials.back_off(kind == IN_FLIGHT and state.flight_rise or state.rate_rise)
  if kind == IN_FLIGHT then state.flight_rise[RAISED] = 0 end
end

function trials.back_off(rise)
  rise[GAP_OF_RISE] = min(LONGEST_REST, 2 * rise[GAP_OF_RISE])
  if rise[GAP_OF_RISE] == 0 then rise[GAP_OF_RISE] = FIRST_REST end
  rise[STEP], rise[REST] = 1, rise[GAP_OF_RISE]
end

function trials.rate_lowered()
  if state.rate_rise[GAP_OF_RISE] > 0 or state.rate_rise[RAISED] > 0 then trials.back_off(state.rate_rise) end
end

function trials.explain(refusal, taken)
  if next(state.trials) then
    local kinds = {}
    for _, trial in pairs(state.trials) do kinds[trial[1]] = true end
    for kind in pairs(kinds) do trials.back_off_kind(kind) end
    state.trials = {}
    return true
  end
  state.crowd_size = 0
  local is_full = state.inferred_concurrency > 0 and refusal.beside + 1 >= state.inferred_concurrency
  if is_full and state.flight_rise[STEP] > 1 then
    state.inferred_concurrency = max(1, state.inferred_concurrency + 1 - state.flight_rise[STEP])
    state.crowd_from = refusal.moment
    trials.back_off_kind(IN_FLIGHT)
    return true
  end
  local is_blamed_again = state.concurrency_blamed > 0
  state.concurrency_blamed = is_full and not is_blamed_again and 1 or 0
  if not is_full or is_blamed_again then
    local before = state.rate_rise[RAISED]
    trials.undo_raises(function(window) return taken(window) - 1 end)
    if state.rate_rise[RAISED] ~= before then
      trials.back_off(state.rate_rise)
      return true
    end
  end
  state.crowd_size, state.crowd_from = refusal.beside + 1, refusal.sent
  state.crowd_until = floor((refusal.sent + refusal.moment) / 2)
  state.crowd_admitted = refusal.beside - refusal.in_flight
  return state.concurrency_blamed > 0
end

function trials.undo_raises(taken)
  for _, tier in ipairs(state.inferred_tiers) do
    if tier[2] == state.last_raised and tier[5] > 0 then
      local doubtful = max(0, min(state.rate_rise[RAISED], tier[1] - 1, tier[1] - taken(tier[2])))
      tier[1], state.rate_rise[RAISED] = tier[1] - doubtful, state.rate_rise[RAISED] - doubtful
    end
  end
end

function trials.count_admitted(moment, latency)
  local was_in_flight = state.crowd_from <= moment and moment - latency <= state.crowd_until
  if state.crowd_size > 0 and state.probing == 1 and was_in_flight then
    state.crowd_admitted = state.crowd_admitted + 1
  end
end

function trials.judge_crowd()
  local crowd_size = state.crowd_size
  state.crowd_size, state.rate_rise[RAISED] = 0, 0
  if crowd_size > 1 and state.crowd_admitted < crowd_size then
    local fewer = state.crowd_admitted > 0 and state.crowd_admitted or floor(crowd_size / 2)
    if state.inferred_concurrency > 0 then fewer = min(fewer, max(1, state.inferred_concurrency - 1)) end
    state.inferred_concurrency = fewer
    state.refused_concurrency = max(crowd_size, state.inferred_concurrency + LEAST_STEP)
    local gap = state.flight_rise[GAP_OF_RISE]
    state.flight_rise[STEP], state.flight_rise[RAISED] = 1, 0
    state.flight_rise[REST] = gap > 0 and gap or FIRST_FLIGHT_REST
  end
end
