#!lua flags=allow-oom
-- Takes the right to run a job. ARGV: job, claim id, worker, lease ms, message template, keep ms.
-- Gives {'claimed', spec, sig, attempt, ready ms, now ms, first start ms} or {why not}.
local id, claim, worker, lease, template, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local at = now_ms()
local f = redis.call('HMGET', job_key(id), 'state', 'queue', 'spec', 'sig', 'ready_at', 'expires', 'first_start')
if not f[1] then return { 'gone' } end
local queue = f[2]
if f[1] ~= 'queued' then return { f[1] } end
if f[6] and tonumber(f[6]) <= at then
  end_unrun(id, queue, 'expired', 'expired before it could start', at, keep)
  admit(queue, template, at)
  return { 'expired' }
end
leave_waiting(id, queue)
local attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1)
local rev = redis.call('HINCRBY', job_key(id), 'rev', 1)
local first = f[7] or ms(at)
redis.call('HSET', job_key(id), 'state', 'running', 'claim', claim, 'worker', worker, 'started', ms(at),
  'first_start', first)
redis.call('ZADD', P .. 'leases', ms(at + lease), id)
redis.call('SADD', P .. 'running:' .. queue, id)
emit('claimed', id, rev, at, cjson.encode({ run_id = claim, attempt = attempt, worker = worker }))
admit(queue, template, at)
return { 'claimed', f[3], f[4], attempt, f[5], ms(at), first }
