-- Signed jobs that have ended, for as long as their signatures are good: one that is written again is known by it.
-- Signatures are `2:<good until, ms>:<seal>`, see queues/signing.py; jobs are kept by the hour of that moment, which the
-- seal covers, so that a copy looks where the first one is noted.
local HOUR_MS = 3600000

local function spent_in(sig)
  local until_ms = string.match(sig or '', '^2:(%d+):')
  -- What is no moment of this age is no signature either: workers refuse it.
  if until_ms and #until_ms <= 14 then return math.floor(tonumber(until_ms) / HOUR_MS) end
end

local function is_spent(id, sig)
  local hour = spent_in(sig)
  return hour and redis.call('SISMEMBER', P .. 'spent:' .. ms(hour), id) == 1
end

local function spend(id, sig)
  local hour = spent_in(sig)
  if not hour then return end
  redis.call('SADD', P .. 'spent:' .. ms(hour), id)
  redis.call('PEXPIREAT', P .. 'spent:' .. ms(hour), ms((hour + 2) * HOUR_MS))
end

return { is_spent = is_spent, spend = spend }
