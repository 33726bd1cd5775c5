-- Everything back into its keys, each with the same expiry. They are worth something for the longest window only; but a
-- clock that is set an hour ahead must not make one of them expire without the others, or nobody would notice.
local flying = concurrent > 0 and redis.call('ZCOUNT', FLYING, '(' .. exact(now), '+inf') or 0
local used = {}
for i, tier in ipairs(tiers) do
  if count == 1 then used[i] = taken_of(tier, now - tier[2]) end
end
local tiers_found = {}
for i, tier in ipairs(found) do
  tiers_found[i] = exact(tier[1]) .. ':' .. exact(tier[2]) .. ':' .. exact(tier[3]) .. ':' .. exact(tier[4])
                   .. ':' .. exact(tier[5])
end
local trials_left = {}
for permit, trial in pairs(trials) do
  trials_left[#trials_left + 1] = permit .. ' ' .. exact(trial[1]) .. ' ' .. exact(trial[2]) .. ' ' .. exact(trial[3]) .. ';'
end
local changed = {'trials', table.concat(trials_left), 'probe', probe, 'found', table.concat(tiers_found, ';'), 'lessons_of', lessons_of, 'set_aside', set_aside}
for _, field in ipairs(FIELDS) do
  changed[#changed + 1] = field
  changed[#changed + 1] = exact(s[field])
end
redis.call('HSET', STATE, unpack(changed))
local expiry = exact(WEEK + ceil((max(0, s.pause - now) + s.keep + 2 * s.longest) / 1000))
redis.call('PEXPIRE', STATE, expiry)
if has_put then redis.call('PEXPIRE', STAMPS, expiry) end
if flying > 0 then redis.call('PEXPIRE', FLYING, expiry) end
for field, places in pairs(changed_counts) do
  if places > 0 then redis.call('HSET', COUNTS, field, exact(places)) else redis.call('HDEL', COUNTS, field) end
end
if #long > 0 then redis.call('PEXPIRE', COUNTS, expiry) end

local reply = {now, s.epoch, wait, max(0, s.pause - now), s.probing, lost and 1 or 0, emptied and 1 or 0, s.hits,
               s.sleeps, s.slept - max(0, s.sleep_until - now), portion, flying, s.at_once, configured and 0 or #found, #used}
if not configured then
  for _, tier in ipairs(found) do reply[#reply + 1] = tier[1]; reply[#reply + 1] = tier[2] end
end
for _, n in ipairs(used) do reply[#reply + 1] = n end
for _, offset in ipairs(granted) do reply[#reply + 1] = offset end
return reply
