-- Tiers of an api for which none is configured: named by the server's headers, or found by being refused (found.py).
local MOST_FOUND, LOOK_BACK, LONGEST_LOOK, JOIN, AT_ONCE = 6, 10, 3600 * SECOND, 500000, 500000
local DAY, MOST_STAMPS, LEAST_WINDOW = 86400 * SECOND, 10000, 600 * SECOND
local ROUNDING, SKEW, NOT_TOLD = 250000, 50000, SECOND
-- What a person or an answer shows not to hold any longer (corrected.py); 4_learning does the rest.
local tier_names = {}
for i, tier in ipairs(tiers) do tier_names[i] = exact(tier[1]) .. '/' .. exact(tier[2]) end
local is_corrected = false
if source ~= '' then
  local limits = table.concat(tier_names, ',') .. ';' .. exact(concurrent)
  local before = redis.call('HGET', STATE, 'limits of ' .. source)
  is_corrected = before and before ~= limits
  redis.call('HSET', STATE, 'limits of ' .. source, limits)
end
if is_corrected then
  s.pause, found, trials = min(s.pause, s.hinted), {}, {}
  s.at_once, s.rate_step, s.rate_rest, s.rate_gap, s.rate_raised = 0, 1, 0, 0, 0
  s.flight_step, s.flight_rest, s.flight_gap, s.flight_raised = 1, 0, 0, 0
  s.refused_at, s.named_full_at, s.strict_until = 0, 0, 0
end
if lift then s.pause, s.hinted = 0, 0 end
for i = #found, 1, -1 do
  if refuted[found[i][1]] then table.remove(found, i) end
end
local function first_after(moment)
  return tonumber(redis.call('ZRANGEBYSCORE', STAMPS, '(' .. exact(moment), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2])
end
local function age_of(skipped, moment)
  local oldest = redis.call('ZREVRANGE', STAMPS, skipped, skipped, 'WITHSCORES')[2]
  return oldest and max(0, moment - tonumber(oldest))
end

local function whole(window) return max(SECOND, floor(window / SECOND) * SECOND) end
local function is_implied(amount, window)
  for _, tier in ipairs(found) do
    if tier[1] * ceil(window / tier[2]) <= amount then return true end
  end
  return false
end
local function is_long(amount, window)
  return window >= DAY or (amount > MOST_STAMPS and window >= LEAST_WINDOW)
end
local function remember(amount, window, least, used, first)
  found[#found + 1] = {amount, window, now, least, first}
  if is_long(amount, window) then newly_long[#newly_long + 1] = {window, used} end
  if #found > MOST_FOUND then table.remove(found, 1) end
end
local function lengthen(tier, window, used)
  for _, other in ipairs(found) do
    if other[2] == window and is_long(other[1], window) then return end
  end
  local old = is_long(tier[1], tier[2]) and tier[2] or nil
  if is_long(tier[1], window) then newly_long[#newly_long + 1] = {window, used, old} end
end
local function is_whole(told) return told.reset % SECOND == 0 end
local function windows_of(told)
  if told.window > 0 then
    local window = ceil(told.window / SECOND) * SECOND
    return window, window
  end
  local moment, before = now - told.age, told.used - 1
  local skew, rounding = SKEW, 0
  if is_whole(told) then skew, rounding = 0, told.limit > 1 and SECOND or 0 end
  local least, longest = 0, 0
  if before > 0 then
    least = age_of(before, moment) or 0
    longest = age_of(before + later_than(moment), moment) or max(least, min(now - s.epoch, NOT_TOLD))
  end
  return told.reset + least - skew, told.reset + longest + told.took + skew + rounding
end
local function counted_window(told, shortest, believed, longest)
  local sent = now - told.age - told.took
  if sent < s.hold or told.used == 0 then return shortest, believed end
  local oldest = age_of(told.used - 1, sent) or 0
  if told.used > told.limit and oldest + 2 * told.took >= believed and s.refused_at == 0 then
    return believed + SECOND, believed + SECOND
  end
  shortest = min(max(shortest, (floor(oldest / SECOND) + 1) * SECOND), believed)
  local left = age_of(later_than(sent) + told.used - 1, now - told.age)
  local at_most = left and whole(left + told.took + SKEW) or believed
  local is_fresh = shortest < longest or shortest == SECOND
  if is_fresh and shortest <= at_most and at_most < believed then believed = at_most end
  return shortest, believed
end
local function is_known(limit)
  for _, tier in ipairs(found) do
    if tier[1] == limit then return true end
  end
  return false
end
local function name_tier(told)
  local least, longest = windows_of(told)
  local is_told = told.window > 0
  local surely = is_told and least or whole(least - ROUNDING)
  least, longest = whole(least), whole(longest)
  for _, tier in ipairs(found) do
    local amount, window, shortest = tier[1], tier[2], tier[4]
    if amount == told.limit then
      if surely > window then
        window, shortest = min(longest, least + SECOND), least
      elseif not is_long(amount, window) then
        if is_told or not is_whole(told) then
          shortest = min(max(shortest, least), window)
          window = max(shortest, min(window, longest))
        end
        if not is_told then shortest, window = counted_window(told, shortest, window, longest) end
      end
      if window > tier[2] then lengthen(tier, window, min(told.used, amount)) end
      tier[2], tier[3], tier[4], tier[5] = window, now, shortest, 0
      return
    end
  end
  if (is_told or told.reset > 0) and not is_implied(told.limit, longest) then
    if #found == 0 then s.hold = max(s.hold, now + JOIN) end
    remember(told.limit, longest, least, min(told.used, told.limit), 0)
  end
end
local function find(amount, window)
  for _, tier in ipairs(found) do
    if tier[2] == window then
      tier[1], tier[3] = max(1, min(amount, tier[1] - max(1, floor(tier[1] / 10)))), now
      return true
    end
  end
  if is_implied(amount, window) then return false end
  remember(amount, window, window, amount, amount)
  return true
end

local function discover(moment)
  local refused_at = s.refused_at
  s.refused_at = 0
  if s.named_full_at >= refused_at then return end
  local since = moment - LOOK_BACK * max(0, moment - refused_at)
  local till = max(refused_at, min((first_after(since) or 0) + AT_ONCE, moment - 1))
  local admitted = redis.call('ZREVRANGEBYSCORE', STAMPS, exact(till), '(' .. exact(since), 'WITHSCORES')
  if #admitted == 0 then admitted = {'', refused_at} end
  local best, best_window = 0, 1
  for n = 1, #admitted / 2 do
    local window = moment - tonumber(admitted[2 * n])
    if n * best_window >= best * window and not is_implied(n, whole(window)) then best, best_window = n, window end
  end
  if best == 0 or not find(best, whole(best_window)) then
    s.learned = max(LEAST, s.learned - floor(s.learned / 10))
  end
  lowered()
end

if not configured then
  for i = #found, 1, -1 do
    if now >= found[i][3] + LASTS then table.remove(found, i) end
  end
  for _, each in ipairs(named) do
    local told = {limit = each[1], used = each[2], reset = each[3], window = each[4], age = each[5], took = each[6]}
    name_tier(told)
    if told.used >= told.limit and is_known(told.limit) then s.named_full_at = max(s.named_full_at, now - told.age) end
  end
  local refused_at, longest_wait
  for _, each in ipairs(settled) do
    if each.outcome == 'r' and not trials[each.permit] then
      refused_at, longest_wait = min(refused_at or now, now - each.age), max(longest_wait or 0, each.wait)
    end
  end
  if refused_at and s.pause <= now and s.refused_at == 0 then s.refused_at = refused_at end
  if refused_at and s.refused_at > 0 then
    s.keep = max(s.keep, min(LONGEST_LOOK, LOOK_BACK * (now - s.refused_at + longest_wait)))
  end
end
if not configured then
  for _, tier in ipairs(found) do s.keep = max(s.keep, min(LONGEST_LOOK, LOOK_BACK * tier[2])) end
end
local kept_back = {}
local function use_found()
  if configured then return end
  tiers, kept_back = {}, {}
  for i, tier in ipairs(found) do
    local amount, window, shortest = tier[1], tier[2], tier[4]
    tiers[i] = {amount, window}
    if shortest < window and amount > 1 and not is_long(amount, window) then
      kept_back[#kept_back + 1] = {amount - 1, shortest + SKEW}
    end
  end
end
use_found()
