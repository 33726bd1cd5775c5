-- What became of permits.
local NO_HINT = -SECOND
for _, each in ipairs(settled) do
  local permit, outcome = each.permit, each.outcome
  if concurrent > 0 then redis.call('ZREM', FLYING, permit) end
  if outcome == 'a' or outcome == 'c' or outcome == 'f' then
    local moment = now - each.age + each.wait
    if outcome == 'c' then moment = moment + credit() end
    if #tiers > 0 or (not configured and s.refused_at > 0) then put(permit, each.cost, moment) end
    if concurrent > 0 and outcome == 'f' then redis.call('ZADD', FLYING, exact(moment), permit) end
    if permit == probe and outcome == 'c' then s.probing, probe = 1, '' end
    if permit == probe and outcome == 'a' then
      s.probing, probe = 0, ''
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
    if outcome == 'r' then
      local again = s.pause <= now
      s.hits, s.pause = s.hits + 1, max(s.pause, now - each.age + each.wait)
      if not each.is_guess then s.hinted = max(s.hinted, now - each.age + each.wait) end
      if s.pause > now then s.probing = 1; sleep_until(s.pause) end
      if configured and not tried then tighten(now - each.age, each.is_guess and NO_HINT or each.wait, again) end
    end
  end
end
redis.call('ZREMRANGEBYSCORE', STAMPS, '-inf', exact(now - s.keep - FRESH))
if concurrent > 0 then redis.call('ZREMRANGEBYSCORE', FLYING, '-inf', exact(now)) end
