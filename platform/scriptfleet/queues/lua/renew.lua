#!lua flags=allow-oom
-- Renews leases. ARGV: worker, then for each run: job, claim id, lease ms, reading (JSON or '').
-- Gives for each: 'kept', 'cancel' (kept, and somebody wants it stopped), 'lost' (another claim, or ended) or 'gone'
-- (the server knows nothing of the job).
local worker, at, answer = ARGV[1], now_ms(), {}

-- A server that lost its last second has the job as it was before the claim: the living run takes it again.
local function is_forgotten(claim, f)
  return f[2] == 'queued' and (not f[1] or f[1] == claim) and
    not string.find(f[4] or '', ' ' .. claim .. ' ', 1, true)
end

local function take_again(id, claim, lease, f)
  -- The store may have seen later revisions than the server has now: the clock is higher than all of them.
  local rev = math.max(tonumber(f[7]) + 1, at)
  start_run(id, f[5], claim, worker, lease, rev, at, f[6] or ms(at))
end

for n = 2, #ARGV, 4 do
  local id, claim, lease, reading = ARGV[n], ARGV[n + 1], tonumber(ARGV[n + 2]), ARGV[n + 3]
  local f = redis.call('HMGET', job_key(id), 'claim', 'state', 'cancel', 'past', 'queue', 'first_start', 'rev')
  if is_forgotten(claim, f) then
    take_again(id, claim, lease, f)
    f[1], f[2] = claim, 'running'
  end
  if not f[2] then
    answer[#answer + 1] = 'gone'
  elseif f[1] ~= claim or f[2] ~= 'running' then
    answer[#answer + 1] = 'lost'
  else
    redis.call('ZADD', P .. 'leases', ms(at + lease), id)
    if reading ~= '' then redis.call('HSET', P .. 'live', id, reading) end
    answer[#answer + 1] = f[3] and 'cancel' or 'kept'
  end
end
return answer
