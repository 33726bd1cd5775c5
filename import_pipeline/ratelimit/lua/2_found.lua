-- Tiers of an api for which none is configured: named by the server's headers, or found by being refused (found.py).
local LASTS, MOST_FOUND, LOOK_BACK, LONGEST_LOOK, JOIN = 86400 * SECOND, 6, 10, 3600 * SECOND, 500000
local DAY, MOST_STAMPS, LEAST_WINDOW = 86400 * SECOND, 10000, 600 * SECOND
local RELAX_AFTER, ROUNDING, SKEW, NOT_TOLD = 120 * SECOND, 250000, 50000, SECOND
local found, newly_long = {}, {}
for amount, window, sign, least in string.gmatch(redis.call('HGET', STATE, 'found') or '', '(%d+):(%d+):(%d+):?(%d*)') do
  found[#found + 1] = {tonumber(amount), tonumber(window), tonumber(sign), tonumber(least) or tonumber(window)}
end
local function later_than(moment) return redis.call('ZCOUNT', STAMPS, '(' .. exact(moment), '+inf') end
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
local function remember(amount, window, least, used)
  found[#found + 1] = {amount, window, now, least}
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
local function name_tier(limit, used, is_told, least, longest)
  local surely = is_told and least or whole(least - ROUNDING)
  least, longest = whole(least), whole(longest)
  if #found == 0 then s.hold = max(s.hold, now + JOIN) end
  for _, tier in ipairs(found) do
    if tier[1] == limit then
      if surely > tier[2] then
        lengthen(tier, surely, used)
        tier[2], tier[4] = surely, surely
      elseif not is_long(limit, tier[2]) then
        tier[4] = min(max(tier[4], least), tier[2])
        tier[2] = max(tier[4], min(tier[2], longest))
      end
      tier[3] = now
      return
    end
  end
  if not is_implied(limit, longest) then remember(limit, longest, least, used) end
end
local function find(amount, window)
  for _, tier in ipairs(found) do
    if tier[2] == window then
      tier[1], tier[3] = max(1, min(amount, tier[1] - max(1, floor(tier[1] / 10)))), now
      return true
    end
  end
  if is_implied(amount, window) then return false end
  remember(amount, window, window, amount)
  return true
end

local function discover(moment)
  local refused_at = s.refused_at
  s.refused_at = 0
  if s.named_full_at >= refused_at then return end
  local since = moment - LOOK_BACK * max(0, moment - refused_at)
  local admitted = redis.call('ZREVRANGEBYSCORE', STAMPS, exact(refused_at), '(' .. exact(since), 'WITHSCORES')
  if #admitted == 0 then admitted = {'', refused_at} end
  local best, best_window = 0, 1
  for n = 1, #admitted / 2 do
    local window = moment - tonumber(admitted[2 * n])
    if n * best_window >= best * window and not is_implied(n, whole(window)) then best, best_window = n, window end
  end
  if best == 0 or not find(best, whole(best_window)) then
    s.learned = max(LEAST, s.learned - floor(s.learned / 10))
    s.relax_at = now + max(RELAX_AFTER, 5 * s.keep)
  end
end

if not configured then
  for i = #found, 1, -1 do
    if now >= found[i][3] + LASTS then table.remove(found, i) end
  end
  for _, each in ipairs(named) do
    local limit, used, reset, window, age, took = unpack(each)
    if used >= limit then s.named_full_at = max(s.named_full_at, now - age) end
    if window > 0 then
      name_tier(limit, used, true, window, window)
    elseif reset > 0 then
      local least, longest, moment = 0, 0, now - age
      if used > 1 then
        least = age_of(used - 1, moment) or 0
        longest = age_of(used - 1 + later_than(moment), moment) or max(least, min(now - s.epoch, NOT_TOLD))
      end
      name_tier(limit, used, false, reset + least - SKEW, reset + longest + took + SKEW)
    end
  end
  local refused_at, longest_wait
  for _, each in ipairs(settled) do
    if each.outcome == 'r' then
      refused_at, longest_wait = min(refused_at or now, now - each.age), max(longest_wait or 0, each.wait)
    end
  end
  if refused_at then
    if s.refused_at == 0 then s.refused_at = refused_at end
    s.keep = max(s.keep, min(LONGEST_LOOK, LOOK_BACK * (now - s.refused_at + longest_wait)))
  end
end
if not configured then
  for _, tier in ipairs(found) do s.keep = max(s.keep, min(LONGEST_LOOK, LOOK_BACK * tier[2])) end
end
local function use_found()
  if configured then return end
  tiers = {}
  for i, tier in ipairs(found) do tiers[i] = {tier[1], tier[2]} end
end
use_found()
