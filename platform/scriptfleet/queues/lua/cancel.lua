#!lua flags=allow-oom
-- Cancels jobs. ARGV: message template, keep ms, then for each job its id and the order to stop it (see orders.py).
-- Gives for each: the state found, or 'gone'. A job that waits ends here; one that runs is marked, and every worker is
-- told.
local template, keep, at, answer, queues = ARGV[1], ARGV[2], now_ms(), {}, {}
for n = 3, #ARGV, 2 do
  local id, order = ARGV[n], ARGV[n + 1]
  local f = redis.call('HMGET', job_key(id), 'state', 'queue')
  if f[1] == 'queued' or f[1] == 'delayed' then
    end_unrun(id, f[2], 'cancelled', 'cancelled before it started', at, keep)
    if f[1] == 'queued' then queues[f[2]] = true end
  elseif f[1] == 'running' then
    redis.call('HSET', job_key(id), 'cancel', ms(at), 'cancel_order', order)
    redis.call('PUBLISH', P .. 'control', order)
  end
  answer[#answer + 1] = f[1] or 'gone'
end
-- Only now: what is to be cancelled here too would be handed out in vain.
for queue in pairs(queues) do admit(queue, template, at) end
return answer
