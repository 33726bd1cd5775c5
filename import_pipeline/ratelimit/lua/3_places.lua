-- Long tiers are counted in hundredths of their window (hundredths.py), all others by the stamp of each place.
local taken, changed_counts, long = {}, {}, {}
local function hundredth(window, moment)
  local length = ceil(window / 100)
  return (moment - moment % length) / length
end
local function frees_at(window, n) return (n + 1) * ceil(window / 100) + window end
local function load_counts(of_window)
  if taken[of_window] then return end
  taken[of_window] = {}
  local known = redis.call('HGETALL', COUNTS)
  for i = 1, #known, 2 do
    local window, n = string.match(known[i], '(%d+):(%-?%d+)')
    window, n = tonumber(window), tonumber(n)
    if frees_at(window, n) <= now then changed_counts[known[i]] = 0
    elseif window == of_window then taken[window][n] = tonumber(known[i + 1]) end
  end
end
local function oldest_first(window)
  local order = {}
  for n in pairs(taken[window]) do order[#order + 1] = n end
  table.sort(order)
  return order
end
local function add(window, moment, places)
  local n = hundredth(window, moment)
  local left = (taken[window][n] or 0) + places
  taken[window][n] = left > 0 and left or nil
  changed_counts[exact(window) .. ':' .. exact(n)] = max(left, 0)
end
local function carry_over(old, window, places)
  load_counts(old)
  local order = oldest_first(old)
  for i = #order, 1, -1 do
    local carried = min(places, taken[old][order[i]])
    add(window, (order[i] + 1) * ceil(old / 100) - 1, carried)
    places = places - carried
  end
  add(window, now, places)
end
local function begin_to_count(window, places)
  add(window, now, places)
  local flying = redis.call('ZRANGEBYSCORE', STAMPS, '(' .. exact(now), '+inf', 'WITHSCORES')
  for i = 2, #flying, 2 do add(window, tonumber(flying[i]), 1) end
end

local function count_in_tiers()
  local is_counted = {}
  for _, tier in ipairs(tiers) do
    tier.is_long = is_long(tier[1], tier[2])
    if tier.is_long then
      is_counted[tier[2]] = true
      s.longest = max(s.longest, tier[2])
      load_counts(tier[2])
    end
  end
  long = {}
  for window in pairs(is_counted) do long[#long + 1] = window end
  for _, each in ipairs(newly_long) do
    local window, places, old = unpack(each)
    load_counts(window)
    if old then carry_over(old, window, places + later_than(now)) else begin_to_count(window, places) end
  end
  newly_long = {}
end
count_in_tiers()
local function taken_of(tier, since)
  if not tier.is_long then return later_than(since) end
  local sum = 0
  for _, places in pairs(taken[tier[2]]) do sum = sum + places end
  return sum
end

local has_put = false
local function leave(place)
  local moment = tonumber(redis.call('ZSCORE', STAMPS, place) or nil)
  if moment then
    for _, window in ipairs(long) do add(window, moment, -1) end
  end
end
local function put_place(place, moment)
  if #long > 0 then leave(place) end
  redis.call('ZADD', STAMPS, exact(moment), place)
  has_put = true
  for _, window in ipairs(long) do add(window, moment, 1) end
end
local function each_place(permit, cost, act, moment)
  act(permit, moment)
  for n = 1, cost - 1 do act(permit .. '+' .. n, moment) end
end
local function put(permit, cost, moment)
  if cost == 1 then put_place(permit, moment) else each_place(permit, cost, put_place, moment) end
end
local function remove(permit, cost)
  each_place(permit, cost, function(place) if #long > 0 then leave(place) end; redis.call('ZREM', STAMPS, place) end)
end
