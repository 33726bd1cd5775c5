-- The moments at which the wanted permits may start: in every tier, when the last of a permit's places is free.
local portion, credited = min(s.learned, s.told), credit()

local asked = #wanted
local blocked_until = max(s.pause, s.hold)
if s.probing == 2 then blocked_until = max(blocked_until, min(s.probe_until, now + POLL)) end
if s.probing > 0 then asked = min(asked, 1) end
local granted, last, dearest = {}, {}, 1
for j, each in ipairs(wanted) do
  dearest = max(dearest, each.cost)
  if j <= asked then last[j] = (last[j - 1] or 0) + each.cost end
end

local function by_hundredths(start, amount, window)
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
local function by_stamps(start, amount, window)
  local reach = min(last[asked], amount)
  local newest = redis.call('ZREVRANGE', STAMPS, amount - reach, amount - 1, 'WITHSCORES')
  for j = 1, asked do
    local score = last[j] > amount and now or tonumber(newest[2 * (reach - last[j]) + 2] or '-inf')
    start[j] = max(start[j], min(score, now) + window)
  end
end
local function starts_in(rows)
  local start = {}
  for j = 1, asked do start[j] = now end
  for _, row in ipairs(asked > 0 and rows or {}) do
    if row[3] then by_hundredths(start, row[1], row[2]) else by_stamps(start, row[1], row[2]) end
  end
  return start
end
local function limit_flights(start, guessed)
  local free = concurrent > 0 and max(0, concurrent - redis.call('ZCOUNT', FLYING, '(' .. exact(now), '+inf')) or asked
  if guessed > 0 then free = min(free, max(0, guessed - later_than(now))) end
  for j = free + 1, asked do start[j] = max(start[j], now + POLL) end
  return start
end
local rows = {}
for i, tier in ipairs(tiers) do
  local window = tier[2]
  local effective = window <= LONGEST_CREDITED and window - min(credited, floor(window / 4)) or window
  rows[i] = {max(dearest, floor(tier[1] * portion / WHOLE)), effective, tier.is_long}
end
for _, tier in ipairs(kept_back) do rows[#rows + 1] = {max(dearest, floor(tier[1] * portion / WHOLE)), tier[2], false} end
local start = asked > 0 and limit_flights(starts_in(rows), s.at_once) or {}

-- The guess that holds a request back, and what it rises by for each place of a trial.
local function rate_guess(late, latest)
  local tier = tiers[latest]
  if not tier or late - now < floor(tier[2] / CLEARLY) then return NO_GUESS, 0 end
  if s.learned < min(WHOLE, s.told) then return PART, ceil(WHOLE / tier[1]) end
  for _, each in ipairs(found) do
    if not configured and each[2] == tier[2] and each[5] > 0 then return tier[2], 1 end
  end
  return NO_GUESS, 0
end
local function raised_rows(kind, height)
  local higher_rows = {}
  for i, row in ipairs(rows) do
    local amount, tier = row[1], tiers[i]
    if tier and kind == PART then amount = min(max(amount, floor(tier[1] * s.told / WHOLE)), amount + height)
    elseif tier and kind == tier[2] then amount = amount + height end
    higher_rows[i] = {amount, row[2], row[3]}
  end
  return higher_rows
end
-- The starts of trials: of requests that only a guess holds back, either about the rate or about those in flight.
local function grant_above()
  local first, soon = #granted + 1, now + look_ahead
  local slots, late, latest = {}, now, 0
  for j = 1, asked do slots[j] = now end
  limit_flights(slots, s.at_once)
  for i, row in ipairs(rows) do
    local moment = starts_in({row})[first]
    if latest == 0 or moment > late then late, latest = moment, i end
  end
  if (slots[first] > soon) == (late > soon) then return end
  local kind, places, more, height, higher_start
  if late > soon then
    kind, places = rate_guess(late, latest)
    more, height = room(kind)
    if s.at_once > 0 then more = min(more, max(1, s.at_once - 1) - later_than(now)) end
    higher_start = limit_flights(starts_in(raised_rows(kind, height * dearest)), s.at_once)
  else
    kind, places = IN_FLIGHT, 1
    more, height = room(kind)
    higher_start = limit_flights(starts_in(rows), s.at_once + height)
  end
  for j = first, min(asked, first + more - 1) do
    if higher_start[j] > soon then return end
    trials[wanted[j].permit] = {kind, higher_start[j] + wanted[j].lifetime, places * wanted[j].cost}
    granted[j] = higher_start[j]
  end
end

local wait = 0
if blocked_until > now then
  wait = blocked_until - now
  if #wanted > 0 then sleep_until(blocked_until) end
else
  while #granted < asked and start[#granted + 1] <= now + look_ahead do granted[#granted + 1] = start[#granted + 1] end
  if #granted < asked and s.probing == 0 and trials_are_due() then grant_above() end
  for j, moment in ipairs(granted) do
    local until_then = moment + wanted[j].lifetime
    if #tiers > 0 or is_remembered() then put(wanted[j].permit, wanted[j].cost, until_then) end
    if concurrent > 0 then redis.call('ZADD', FLYING, exact(until_then), wanted[j].permit) end
    granted[j] = moment - now
  end
  s.rate_rest, s.flight_rest = max(0, s.rate_rest - #granted), max(0, s.flight_rest - #granted)
  if #granted > 0 then wake(now + granted[1]) end
  if #granted > 0 and s.probing > 0 then
    s.probing, probe, s.probe_until = 2, wanted[1].permit, now + granted[1] + wanted[1].lifetime
  end
  if #granted < #wanted then
    local free = start[#granted + 1] or (now + POLL)
    wait = max(0, free - look_ahead - now)
    sleep_until(free)
  end
end
