#!lua flags=allow-oom
-- Renews leases. ARGV: worker, then for each run: job, claim id, lease ms, reading (JSON, '' for
--   the last one to stay, or '-' for none).
-- Gives for each: 'kept', 'cancel' (kept, and somebody wants it stopped), 'lost' (another claim, or ended) or 'gone'
-- (the server knows nothing of the job).
local worker, at, answer = ARGV[1], now_ms(), {}

for n = 2, #ARGV, 4 do
  local id, claim, lease, reading = ARGV[n], ARGV[n + 1], tonumber(ARGV[n + 2]), ARGV[n + 3]
  local f = redis.call('HMGET', job_key(id), 'claim', 'state', 'cancel')
  if is_forgotten(id, claim) then
    -- The living run takes it again.
    take_again(id, claim, worker, lease, at)
    f[1], f[2] = claim, 'running'
  end
  if not f[2] then
    answer[#answer + 1] = 'gone'
  elseif f[1] ~= claim or f[2] ~= 'running' then
    answer[#answer + 1] = 'lost'
  else
    redis.call('ZADD', P .. 'leases', ms(at + lease), id)
    if reading == '-' then redis.call('HDEL', P .. 'live', id)
    elseif reading ~= '' then redis.call('HSET', P .. 'live', id, reading) end
    answer[#answer + 1] = f[3] and 'cancel' or 'kept'
  end
end
return answer
