#!lua flags=allow-oom
-- Puts a running job back that the server has forgotten (it was wiped, or lost its last second): the run goes on.
-- ARGV: job, claim id, worker, lease ms, spec, sig, kind, name, argsrepr, queue, prio, attempt.
-- Gives 'kept', or 'lost' when the server knows something of the job by now.
local id, claim, worker, lease, queue, at = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[10], now_ms()
local f = redis.call('HMGET', job_key(id), 'claim', 'state')
if f[2] then return f[1] == claim and f[2] == 'running' and 'kept' or 'lost' end
-- The store may have seen any revision of it: the clock is higher than all of them.
redis.call('HSET', job_key(id), 'spec', ARGV[5], 'sig', ARGV[6], 'kind', ARGV[7], 'name', ARGV[8], 'argsrepr', ARGV[9],
  'queue', queue, 'prio', ARGV[11], 'rev', ms(at), 'submitted', ms(at), 'ready_at', ms(at), 'attempt', ARGV[12],
  'losses', 0, 'state', 'running', 'claim', claim, 'worker', worker, 'started', ms(at), 'first_start', ms(at))
redis.call('SADD', P .. 'queues', queue)
redis.call('SADD', P .. 'running:' .. queue, id)
redis.call('ZADD', P .. 'leases', ms(at + lease), id)
return 'kept'
