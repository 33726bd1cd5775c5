-- bucketed_window.py: long tiers have a count per hundredth of their window. The counts are read when first needed.
local DAY, MOST_STAMPS, LEAST_WINDOW = 86400 * SECOND, 10000, 600 * SECOND
local loaded, changed = nil, {} -- window -> bucket -> units; field -> units that have changed
local function bucket_counts(window)
  if not loaded then
    loaded = {}
    local fields = redis.call('HGETALL', BUCKET_COUNTS)
    for i = 1, #fields, 2 do
      local of, bucket = string.match(fields[i], '(%d+):(%-?%d+)')
      of, bucket = tonumber(of), tonumber(bucket)
      loaded[of] = loaded[of] or {}
      if bucketed_window.frees_at(of, bucket) <= now then changed[fields[i]] = 0 -- forget() in Python
      else loaded[of][bucket] = tonumber(fields[i + 1]) end
    end
  end
  loaded[window] = loaded[window] or {}
  return loaded[window]
end
local function oldest_first(window)
  local order = {}
  for bucket in pairs(bucket_counts(window)) do table.insert(order, bucket) end
  table.sort(order)
  return order
end

function bucketed_window.is_bucketed(amount, window)
  return window >= DAY or (amount > MOST_STAMPS and window >= LEAST_WINDOW)
end

function bucketed_window.bucket_of(window, moment)
  local length = ceil(window / 100)
  return (moment - moment % length) / length
end

function bucketed_window.frees_at(window, bucket) return (bucket + 1) * ceil(window / 100) + window end

function bucketed_window.add(window, moment, units)
  local taken, bucket = bucket_counts(window), bucketed_window.bucket_of(window, moment)
  local left = (taken[bucket] or 0) + units
  taken[bucket] = left > 0 and left or nil
  changed[exact(window) .. ':' .. exact(bucket)] = max(left, 0)
end

function bucketed_window.carry_over(old, window, units)
  local taken, order = bucket_counts(old), oldest_first(old)
  for i = #order, 1, -1 do
    local carried = min(units, taken[order[i]])
    bucketed_window.add(window, (order[i] + 1) * ceil(old / 100) - 1, carried)
    units = units - carried
  end
  bucketed_window.add(window, now, units)
end

function bucketed_window.taken(window)
  local sum = 0
  for _, units in pairs(bucket_counts(window)) do sum = sum + units end
  return sum
end

function bucketed_window.first_free(window)
  local oldest = oldest_first(window)[1]
  return oldest and bucketed_window.frees_at(window, oldest)
end

function bucketed_window.unit_starts(amount, window, count)
  local taken, order, next_free = bucket_counts(window), oldest_first(window), 1
  local left, moment, starts = bucketed_window.taken(window), now, {}
  for unit = 0, count - 1 do
    while left + unit >= amount do
      local bucket = order[next_free]
      moment = max(moment, bucket and bucketed_window.frees_at(window, bucket) or now + window)
      left = left - (bucket and taken[bucket] or left + unit)
      next_free = next_free + 1
    end
    starts[unit + 1] = moment
  end
  return starts
end

-- api_permits.py: the units of permits in the window log and in the buckets.
local bucketed = {}
local function leave_bucket(unit)
  local moment = #bucketed > 0 and log.moment(unit)
  if moment then
    for _, window in ipairs(bucketed) do bucketed_window.add(window, moment, -1) end
  end
end
local function each_unit(permit, cost, act)
  act(permit)
  for number = 1, cost - 1 do act(permit .. '+' .. number) end
end

function permits.use(tiers)
  local windows = {}
  for _, tier in ipairs(tiers) do
    if bucketed_window.is_bucketed(tier[1], tier[2]) then
      windows[tier[2]] = true
      state.longest_bucketed_window = max(state.longest_bucketed_window, tier[2])
    end
  end
  bucketed = {}
  for window in pairs(windows) do table.insert(bucketed, window) end
end

function permits.put(permit, cost, moment)
  each_unit(permit, cost, function(unit)
    leave_bucket(unit)
    log.put(unit, moment)
    for _, window in ipairs(bucketed) do bucketed_window.add(window, moment, 1) end
  end)
end

function permits.remove(permit, cost)
  each_unit(permit, cost, function(unit)
    leave_bucket(unit)
    log.remove(unit)
  end)
end

function permits.taken(amount, window, since)
  if bucketed_window.is_bucketed(amount, window) then return bucketed_window.taken(window) end
  return log.later_than(since)
end
