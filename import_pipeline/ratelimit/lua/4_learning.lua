-- What the server's behaviour teaches (learning.py).
local EARLY, LATE, STRICT_AFTER = 250000, 1250000, 120 * SECOND
local PERIOD, SAMPLES, STANDING, LONGEST_CREDITED = 60000000, 20, 10, 10000000

-- It is about the configured tiers; what is known about others is kept aside (lessons.py).
local LESSON, KEPT = {'learned', 'told', 'told_at'}, 4
local name = table.concat(tier_names, ',')
if name ~= lessons_of then
  local aside, known = {}, {WHOLE, WHOLE, 0}
  for other, numbers_of in string.gmatch(set_aside, '([%d/,]*)=([%d:]+);') do
    if other == name then
      for i, number in ipairs({string.match(numbers_of, '(%d+):(%d+):(%d+)')}) do known[i] = tonumber(number) end
    elseif other ~= lessons_of then
      aside[#aside + 1] = other .. '=' .. numbers_of .. ';'
    end
  end
  local old = {}
  for i, field in ipairs(LESSON) do old[i], s[field] = exact(s[field]), known[i] end
  aside[#aside + 1] = lessons_of .. '=' .. table.concat(old, ':') .. ';'
  lessons_of, set_aside = name, table.concat(aside, '', max(1, #aside - KEPT + 1))
end
if is_corrected then
  s.learned, s.told, s.told_at, set_aside = WHOLE, WHOLE, 0, ''
end
if n_refuted > 0 then s.told = WHOLE end

for _, tier in ipairs(tiers) do
  if not tier.is_long then s.keep = max(s.keep, tier[2]) end
end
if told > 0 and (told <= s.told or now >= s.told_at + max(PERIOD, s.keep)) then s.told, s.told_at = told, now end
if now >= s.turned + PERIOD then
  local fresh = now < s.turned + 2 * PERIOD
  s.quickest_before, s.samples_before = fresh and s.quickest or 0, fresh and s.samples or 0
  s.standing_before, s.spent_before = fresh and s.standing or 0, fresh and s.spent or 0
  s.quickest, s.samples, s.standing, s.spent, s.turned = 0, 0, 0, 0, now
end
if samples > 0 then
  s.quickest = s.quickest == 0 and quickest or min(s.quickest, quickest)
  s.samples, s.standing, s.spent = s.samples + samples, s.standing + standing, s.spent + spent
end

local function met(tier, moment)
  local part = floor(taken_of(tier, moment - tier[2]) * WHOLE / tier[1])
  if tier.is_long then
    local oldest = oldest_first(tier[2])[1]
    return part, oldest and frees_at(tier[2], oldest) - moment or tier[2]
  end
  return part, min((first_after(moment - tier[2]) or moment) - moment, 0) + tier[2]
end
local function tighten(moment, wait, again)
  local certain, fullest = -1, 0
  for _, tier in ipairs(tiers) do
    local part, frees_in = met(tier, moment)
    fullest = max(fullest, part)
    if frees_in - EARLY <= wait and wait <= frees_in + LATE then certain = max(certain, part) end
  end
  local part = max(LEAST, certain >= 0 and certain or fullest)
  if again then
    if s.learned < WHOLE and s.rate_raised == 0 then
      part = max(LEAST, min(part, s.learned - floor(s.learned / 10)))
    end
    lowered()
  end
  s.learned = min(s.learned, part)
  s.strict_until = now + max(STRICT_AFTER, 5 * s.keep)
end

-- Where the server counts more than all that we can have sent, somebody else uses the key.
local NEAR = 8
local function speaks_of_another(remaining, amount, sent)
  for _, tier in ipairs(tiers) do
    if tier[1] < amount and not tier.is_long then
      local least = later_than(sent - tier[2] + floor(tier[2] / NEAR)) - later_than(sent)
      local used = tier[1] - remaining
      if least <= used and used <= later_than(sent - tier[2]) then return true end
    end
  end
  return false
end
for _, each in ipairs(sightings) do
  local tier, used, age = tiers[each[1]], each[2], each[3]
  if age <= FRESH then
    local others = min(used, tier[1]) - taken_of(tier, now - age - tier[2])
    if others > 0 and speaks_of_another(tier[1] - used, tier[1], now - age) then others = 0 end
    if tier.is_long then
      if others > 0 then add(tier[2], now, others) end
    else
      for n = 0, others - 1 do put('other ' .. exact(now) .. ' ' .. (each[1] - 1) .. ' ' .. n, 1, now) end
    end
  end
end
for _, tier in ipairs(tiers) do
  if tier.is_long then
    for _, each in ipairs(counted) do add(tier[2], now - each[2], each[1]) end
  end
end

-- How much earlier than a window after an answer the next request may start (credit in learning.py).
local function credit()
  local all_samples = s.samples + s.samples_before
  if all_samples >= SAMPLES and s.standing + s.standing_before >= STANDING and now >= s.strict_until then
    local least = min(s.quickest > 0 and s.quickest or s.quickest_before,
                      s.quickest_before > 0 and s.quickest_before or s.quickest)
    local spread = max(0, floor((s.spent + s.spent_before) / all_samples) - least)
    return max(0, least - max(10000, floor(least / 10), floor(4 * spread / floor(math.sqrt(all_samples)))))
  end
  return 0
end
