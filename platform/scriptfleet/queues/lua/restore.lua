#!lua
-- Writes a job again that the store knows as unfinished and this server does not know at all.
-- ARGV: message template, keep ms, epoch, '1' when it was wiped and the restoring of that is not done yet, then what
--   job_arguments in writing.lua lists, attempt, losses, ooms, when its first run began in ms or 0, why it cannot run
--   again or '', then for one that runs: claim id, worker, lease ms, when this run began in ms.
-- Gives the state it has now, 'known' when the server knows it and nothing was done, or 'over' when the server has
-- another epoch or the restoring is done.
-- One that runs gets its lease back: a worker that still has it renews it, else it is rescued when the lease ends.
local template, keep, epoch, is_wiped, at = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', now_ms()
local a, rest = job_arguments(5), 5 + JOB_ARGUMENTS
local attempt, losses, ooms, first = ARGV[rest], ARGV[rest + 1], ARGV[rest + 2], ARGV[rest + 3]
local unfit, claim = ARGV[rest + 4], ARGV[rest + 5]
local id, queue = a[1], a[7]

local found = redis.call('HMGET', P .. 'epoch', 'id', 'restored')
if found[1] ~= epoch or (is_wiped and found[2]) then return 'over' end
if redis.call('EXISTS', job_key(id)) == 1 then return 'known' end

local key = a[11]
local holder = key ~= '' and redis.call('HGET', P .. 'idem:' .. key, 'id')
if holder then a[11] = '' end
if unfit == '' and lacks_bytes(a) then unfit = SCRIPT_GONE end
-- The store may have seen any revision of it: the clock is higher than all of them.
write_job(a, ms(at), attempt, at)
redis.call('HSET', job_key(id), 'losses', losses, 'ooms', ooms)
if first ~= '0' then redis.call('HSET', job_key(id), 'first_start', first) end
if claim then
  still_to_run(id, at)
  -- Only waiting jobs expire.
  redis.call('ZREM', P .. 'expiring', id)
  redis.call('HSET', job_key(id), 'state', 'running', 'ready_at', ms(at), 'claim', claim, 'worker', ARGV[rest + 6],
    'started', ARGV[rest + 8])
  if unfit ~= '' then redis.call('HSET', job_key(id), 'unfit', unfit) end
  redis.call('SADD', P .. 'running:' .. queue, id)
  hold_for_run(id, a[15], claim, ARGV[rest + 6], at)
  redis.call('ZADD', P .. 'leases', ms(at + tonumber(ARGV[rest + 7])), id)
  return 'running'
end
if holder or unfit ~= '' then
  local state = holder and 'skipped' or 'lost'
  local why = holder and 'its idempotency key was used again, by job ' .. holder or unfit
  end_unrun(id, queue, state, why, at, keep)
  return state
end
local state = place_job(a, at)
local due = state == 'delayed' and tonumber(a[9]) or nil
emit('moved', id, redis.call('HINCRBY', job_key(id), 'rev', 1), at,
  cjson.encode({ state = state, reason = 'the broker had lost it', due = due }))
if state == 'queued' then admit(queue, template, at) end
return state
