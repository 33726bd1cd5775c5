-- What became of permits.
local NO_HINT = -SECOND
local function is_remembered() return s.refused_at > 0 or s.at_once > 0 end
local function pause_for(each)
  local till = now - each.age + each.wait
  s.hits, s.pause = s.hits + 1, max(s.pause, till)
  if not each.is_guess then s.hinted = max(s.hinted, till) end
  if s.pause > now then s.probing = 1; sleep_until(s.pause) end
end
local function refuse(each, tried)
  local again, moment = s.pause <= now, now - each.age
  local is_explained = trial_refused(each.permit, again)
  if again and not is_explained then
    is_explained = explain(moment, moment - each.took)
    if is_explained then s.refused_at = 0 end
  end
  if is_explained or not again then correct(moment, 0) end
  pause_for(each)
  if configured and not tried and not is_explained then tighten(moment, each.is_guess and NO_HINT or each.wait, again) end
end
for _, each in ipairs(settled) do
  local permit, outcome = each.permit, each.outcome
  if concurrent > 0 then redis.call('ZREM', FLYING, permit) end
  if outcome == 'a' or outcome == 'c' or outcome == 'f' then
    local moment = now - each.age + each.wait
    if outcome == 'c' then moment = moment + credit(); trials[permit] = nil end
    if outcome == 'a' then
      local in_flight = moment >= s.crowd_at and moment - each.took <= s.crowd_till
      if s.crowd > 0 and s.probing == 1 and in_flight then s.landed = s.landed + 1 end
      trial_admitted(permit)
    end
    if #tiers > 0 or (not configured and is_remembered()) then put(permit, each.cost, moment) end
    if concurrent > 0 and outcome == 'f' then redis.call('ZADD', FLYING, exact(moment), permit) end
    if permit == probe and outcome == 'c' then s.probing, probe = 1, '' end
    if permit == probe and outcome == 'a' then
      s.probing, probe = 0, ''
      judge()
      if not configured and s.refused_at > 0 then
        discover(now - each.age)
        use_found()
        count_in_tiers()
      end
    end
  else
    remove(permit, each.cost)
    local tried = permit == probe
    if tried then s.probing, probe = 1, '' end
    if outcome == 'h' then
      s.strict_until = now + max(STRICT_AFTER, 5 * s.keep)
      trial_refused(permit, s.pause <= now)
      pause_for(each)
    end
    if outcome == 'r' then refuse(each, tried) else trials[permit] = nil end
  end
end
if not configured then use_found(); count_in_tiers() end
redis.call('ZREMRANGEBYSCORE', STAMPS, '-inf', exact(now - s.keep - FRESH))
if concurrent > 0 then redis.call('ZREMRANGEBYSCORE', FLYING, '-inf', exact(now)) end
