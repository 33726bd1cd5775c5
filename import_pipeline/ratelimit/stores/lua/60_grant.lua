-- exchange.py, second half: the permits that a request wants.
local function enter(granted)
  trials.count_granted(#granted)
  for i, start in ipairs(granted) do
    local each = request.wanted[i]
    if #request.tiers > 0 or is_logged() then permits.put(each.permit, each.cost, start + each.lifetime) end
    if request.concurrent > 0 then in_flight.put(each.permit, start + each.lifetime) end
  end
  if #granted > 0 then
    end_wait(granted[1])
    if state.probing > 0 then
      state.probing, state.probe = 2, request.wanted[1].permit
      state.probe_until = granted[1] + request.wanted[1].lifetime
    end
  end
end

local function grant(probe_units)
  local till, count = blocked_until(), #request.wanted
  if count == 0 or till > now then
    if count > 0 then begin_wait(till) end
    return {}, max(0, till - now)
  end
  if state.probing > 0 then count = 1 end
  local costs, starts, granted = {}, {}, {}
  for i = 1, count do costs[i] = request.wanted[i].cost end
  local tiers = start_times.effective_tiers(probe_units)
  local by_tiers = start_times.starts_by_tiers(tiers, costs)
  local slots = start_times.starts_by_concurrency(request.concurrent, state.inferred_concurrency, count)
  for i = 1, count do starts[i] = max(by_tiers[i], slots[i]) end
  while #granted < count and starts[#granted + 1] <= now + request.look_ahead do
    table.insert(granted, starts[#granted + 1])
  end
  if #granted < count and state.probing == 0 and trials.are_due() then
    for _, start in ipairs(start_times.trial_starts(tiers, #granted)) do table.insert(granted, start) end
  end
  enter(granted)
  if #granted == #request.wanted then return granted, 0 end
  local free = starts[#granted + 1] or (now + POLL)
  begin_wait(free)
  return granted, max(0, free - request.look_ahead - now)
end
