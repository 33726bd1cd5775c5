-- The moments at which the wanted permits may start: in every tier, when the last of a permit's places is free.
local portion, credited = min(s.learned, s.told), credit()

local asked = #wanted
local blocked_until = max(s.pause, s.hold)
if s.probing == 2 then blocked_until = max(blocked_until, min(s.probe_until, now + POLL)) end
if s.probing > 0 then asked = min(asked, 1) end
local start, granted, last, dearest = {}, {}, {}, 1
for j, each in ipairs(wanted) do
  dearest = max(dearest, each.cost)
  if j <= asked then last[j], start[j] = (last[j - 1] or 0) + each.cost, now end
end

local function by_hundredths(amount, window)
  local order, left, free, moment = oldest_first(window), 0, 1, now
  for _, places in pairs(taken[window]) do left = left + places end
  local place = 1
  for j = 1, asked do
    while place <= last[j] do
      while left + place > amount do
        local n = order[free]
        moment = max(moment, n and frees_at(window, n) or now + window)
        left = left - (n and taken[window][n] or left + place - 1)
        free = free + 1
      end
      place = place + 1
    end
    start[j] = max(start[j], moment)
  end
end
local function by_stamps(amount, window)
  local reach = min(last[asked], amount)
  local newest = redis.call('ZREVRANGE', STAMPS, amount - reach, amount - 1, 'WITHSCORES')
  for j = 1, asked do
    local score = last[j] > amount and now or tonumber(newest[2 * (reach - last[j]) + 2] or '-inf')
    start[j] = max(start[j], min(score, now) + window)
  end
end
local function left_of(amount) return max(dearest, floor(amount * portion / WHOLE)) end
for _, tier in ipairs(asked > 0 and tiers or {}) do
  local amount, window = left_of(tier[1]), tier[2]
  if tier.is_long then by_hundredths(amount, window)
  else by_stamps(amount, window <= LONGEST_CREDITED and window - min(credited, floor(window / 4)) or window) end
end
for _, tier in ipairs(asked > 0 and kept_back or {}) do by_stamps(left_of(tier[1]), tier[2]) end
if concurrent > 0 then
  local free = max(0, concurrent - redis.call('ZCOUNT', FLYING, '(' .. exact(now), '+inf'))
  for j = free + 1, asked do start[j] = max(start[j], now + POLL) end
end

local wait = 0
if blocked_until > now then
  wait = blocked_until - now
  if #wanted > 0 then sleep_until(blocked_until) end
else
  while #granted < asked and start[#granted + 1] <= now + look_ahead do
    local j = #granted + 1
    local until_then = start[j] + wanted[j].lifetime
    if #tiers > 0 or s.refused_at > 0 then put(wanted[j].permit, wanted[j].cost, until_then) end
    if concurrent > 0 then redis.call('ZADD', FLYING, exact(until_then), wanted[j].permit) end
    granted[j] = start[j] - now
  end
  if #granted > 0 then wake(start[1]) end
  if #granted > 0 and s.probing > 0 then
    s.probing, probe, s.probe_until = 2, wanted[1].permit, start[1] + wanted[1].lifetime
  end
  if #granted < #wanted then
    local free = start[#granted + 1] or (now + POLL)
    wait = max(0, free - look_ahead - now)
    sleep_until(free)
  end
end
