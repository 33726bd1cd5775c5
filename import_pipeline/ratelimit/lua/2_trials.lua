-- Guesses about an api rise again: now and then a request goes above them, and its answer decides (trials.py).
local FIRST_REST, LONGEST_REST, FIRST_FLIGHTS, LEAST_STEP, FORGOTTEN_AT, CLEARLY = 100, 1600, 20, 4, 8, 8
local NO_GUESS, IN_FLIGHT, PART = -2, -1, 0
local LASTS, FLIGHTS_LAST = 86400 * SECOND, 3600 * SECOND
if now >= s.crowd_at + FLIGHTS_LAST then s.at_once = 0 end
local trials = {}
for permit, kind, till, places in string.gmatch(redis.call('HGET', STATE, 'trials') or '', '(%S+) (%-?%d+) (%d+) (%d+);') do
  if tonumber(till) > now then trials[permit] = {tonumber(kind), tonumber(till), tonumber(places)} end
end
local function later_than(moment) return redis.call('ZCOUNT', STAMPS, '(' .. exact(moment), '+inf') end
local function side_of(kind) return kind == IN_FLIGHT and 'flight' or 'rate' end

local function is_rate_guessed()
  if s.learned < WHOLE then return true end
  for _, tier in ipairs(found) do
    if tier[5] > 0 then return true end
  end
  return false
end
local function trials_are_due()
  return (is_rate_guessed() and s.rate_rest == 0) or (s.at_once > 0 and s.flight_rest == 0)
end
local function room(kind)
  local side = side_of(kind)
  if kind == NO_GUESS or s[side .. '_rest'] > 0 then return 0, 0 end
  local under_way = 0
  for _, trial in pairs(trials) do
    if side_of(trial[1]) == side then under_way = under_way + 1 end
  end
  local most = kind == IN_FLIGHT and 1 or s[side .. '_step']
  return max(0, most - under_way), most
end

local function higher(side, guess)
  s[side .. '_step'] = min(s[side .. '_step'] + 1, max(LEAST_STEP, floor(guess / 8)))
  s[side .. '_raised'] = s[side .. '_raised'] + 1
  if s[side .. '_raised'] > max(LEAST_STEP, floor(guess / 8)) then s[side .. '_gap'] = 0 end
end
local function too_early(side)
  local gap = min(LONGEST_REST, 2 * s[side .. '_gap'])
  if gap == 0 then gap = FIRST_REST end
  s[side .. '_step'], s[side .. '_rest'], s[side .. '_gap'] = 1, gap, gap
  if side == 'flight' then s.flight_raised = 0 end
end

local function trial_admitted(permit)
  local trial = trials[permit]
  if not trial then return end
  trials[permit] = nil
  local kind, places = trial[1], trial[3]
  if kind == IN_FLIGHT then
    s.flight_raised = s.flight_raised + 1
    if s.at_once > 0 and s.flight_raised >= s.at_once then
      s.at_once, s.flight_step, s.flight_raised = s.at_once + 1, s.flight_step + 1, 0
      if s.flight_step > LEAST_STEP then s.flight_gap = 0 end
      if s.at_once >= s.crowded_at and s.flight_gap == 0 then s.at_once = 0 end
    end
  elseif kind == PART then
    s.learned, s.raised = min(WHOLE, s.learned + places), kind
    higher('rate', floor(s.learned / places))
  else
    local kept = {}
    for _, tier in ipairs(found) do
      if tier[2] == kind and tier[5] > 0 then
        tier[1], tier[3], s.raised = tier[1] + places, now, kind
        higher('rate', tier[1])
      end
      if tier[5] == 0 or tier[1] < FORGOTTEN_AT * tier[5] then kept[#kept + 1] = tier end
    end
    found = kept
  end
end
local function trial_refused(permit, again)
  local trial = trials[permit]
  if not trial then return false end
  trials[permit] = nil
  if again then
    too_early(side_of(trial[1]))
    if trial[1] ~= IN_FLIGHT and s.flight_gap == 0 then s.at_once = 0 end
  end
  return true
end
local function lowered()
  if s.rate_gap > 0 or s.rate_raised > 0 then too_early('rate') end
end
local function correct(moment, less)
  for _, tier in ipairs(found) do
    if tier[2] == s.raised and tier[5] > 0 then
      local doubtful = max(0, min(s.rate_raised, tier[1] - 1, tier[1] - later_than(moment - tier[2]) + less))
      tier[1], s.rate_raised = tier[1] - doubtful, s.rate_raised - doubtful
    end
  end
end
local function explain(moment, sent)
  local beside, in_flight = later_than(sent), later_than(now)
  if next(trials) then
    local kinds = {}
    for _, trial in pairs(trials) do kinds[trial[1]] = true end
    for kind in pairs(kinds) do too_early(side_of(kind)) end
    trials = {}
    return true
  end
  s.crowd = 0
  local is_full = s.at_once > 0 and beside + 1 >= s.at_once
  if is_full and s.flight_step > 1 then
    s.at_once = max(1, s.at_once + 1 - s.flight_step)
    s.crowd_at = moment
    too_early('flight')
    return true
  end
  local is_blamed_again = s.blamed > 0
  s.blamed = is_full and not is_blamed_again and 1 or 0
  if not is_full or is_blamed_again then
    local before = s.rate_raised
    correct(moment, 1)
    if s.rate_raised ~= before then
      too_early('rate')
      return true
    end
  end
  s.crowd, s.crowd_at, s.crowd_till = beside + 1, sent, floor((sent + moment) / 2)
  s.landed = beside - in_flight
  return s.blamed == 1
end
local function judge()
  local crowd = s.crowd
  s.crowd, s.rate_raised = 0, 0
  if crowd > 1 and s.landed < crowd then
    local fewer = s.landed > 0 and s.landed or floor(crowd / 2)
    s.at_once = s.at_once > 0 and min(fewer, max(1, s.at_once - 1)) or fewer
    s.crowded_at = max(crowd, s.at_once + LEAST_STEP)
    s.flight_step, s.flight_raised = 1, 0
    s.flight_rest = s.flight_gap > 0 and s.flight_gap or FIRST_FLIGHTS
  end
end
