#!lua flags=allow-oom
-- Puts a running job back that the server has forgotten (it was wiped, or lost its last second): the run goes on.
-- ARGV: job, claim id, worker, lease ms, spec, sig, kind, name, argsrepr, queue, prio, attempt, first start ms or 0,
--   expires ms or 0, losses, idempotency key or '', its hash, blob or '', ooms, marks or '', lane or '', bounds or ''.
-- Gives 'kept', or 'lost' when the server knows something of the job by now.
local id, claim, worker, lease, queue, at = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[10], now_ms()
local first, expires, key, blob, lane, bounds = ARGV[13], ARGV[14], ARGV[16], ARGV[18], ARGV[21], ARGV[22]
local f = redis.call('HMGET', job_key(id), 'claim', 'state')
if f[2] then return f[1] == claim and f[2] == 'running' and 'kept' or 'lost' end
-- The store may have seen any revision of it: the clock is higher than all of them.
redis.call('HSET', job_key(id), 'spec', ARGV[5], 'sig', ARGV[6], 'kind', ARGV[7], 'name', ARGV[8], 'argsrepr', ARGV[9],
  'queue', queue, 'prio', ARGV[11], 'rev', ms(at), 'submitted', ms(at), 'ready_at', ms(at), 'attempt', ARGV[12],
  'losses', ARGV[15], 'ooms', ARGV[19], 'state', 'running', 'claim', claim, 'worker', worker, 'started', ms(at),
  'first_start', first == '0' and ms(at) or first)
if expires ~= '0' then redis.call('HSET', job_key(id), 'expires', expires) end
if blob ~= '' then redis.call('HSET', job_key(id), 'blob', blob) end
mark(id, ARGV[20])
if lane ~= '' then
  redis.call('HSET', job_key(id), 'lane', lane, 'bounds', bounds)
  -- Where others have been submitted since, theirs are the newer bounds.
  for _, gate in ipairs(gates().gates_of(lane)) do gates().bounds_of(gate, id, at) end
  hold_for_run(id, lane, claim, worker, at)
end
still_to_run(id, at)
-- Only waiting jobs expire.
redis.call('ZREM', P .. 'expiring', id)
-- Another submit may have taken the key while the server knew of none.
if key ~= '' and redis.call('HSETNX', P .. 'idem:' .. key, 'id', id) == 1 then
  redis.call('HSET', P .. 'idem:' .. key, 'hash', ARGV[17])
  redis.call('HSET', job_key(id), 'idem', key, 'idem_hash', ARGV[17])
end
redis.call('SADD', P .. 'queues', queue)
redis.call('SADD', P .. 'running:' .. queue, id)
redis.call('ZADD', P .. 'leases', ms(at + lease), id)
return 'kept'
