-- The moves of a job: each leaves it in exactly the places of its new state, and in no other.
-- When a job came into line, its place there; where an older version put it there that is not noted.
local function came_in(id)
  local f = redis.call('HMGET', job_key(id), 'came', 'ready_at')
  return f[1] or f[2]
end

local function leave_waiting(id, queue, lane)
  if redis.call('ZREM', P .. 'admitted:' .. queue, id) == 0 then leave_lane(id, queue, lane) end
  redis.call('ZREM', P .. 'delayed', id)
  redis.call('ZREM', P .. 'expiring', id)
end

-- Frees what a job held since it was handed on. `f` are its lane and place; they are read where they are not given.
local function give_back_holds(id, queue, at, f)
  f = f or redis.call('HMGET', job_key(id), 'lane', 'placed')
  if f[1] and is_bound(f[1]) then gates().release(f[1], id, at) end
  if f[2] then placement().leave_place(id, queue, f[2]) end
end

-- Who was handed on, or is about to be, and has ended meanwhile: a client of an older version, which knows of no lanes,
-- leaves a job that it cancels in line.
local function drop_ended(id, queue, state, at)
  redis.call('ZREM', P .. 'admitted:' .. queue, id)
  if FINAL[state] then give_back_holds(id, queue, at) end
end

local function leave_running(id, queue, at, holds)
  redis.call('ZREM', P .. 'leases', id)
  redis.call('SREM', P .. 'running:' .. queue, id)
  redis.call('HDEL', P .. 'live', id)
  give_back_holds(id, queue, at, holds)
end

-- Takes a job back that was handed to Celery and not started: it stands in its lane as if it had never left. Gives
-- whether it does.
local function hand_back(id, queue)
  if redis.call('ZREM', P .. 'admitted:' .. queue, id) == 0 then return false end
  local f = redis.call('HMGET', job_key(id), 'state', 'prio', 'lane', 'placed')
  if f[1] ~= 'queued' then return false end
  -- A worker's own list is short, and who reads it may be away for long: nothing is left in vain there.
  local message = f[4] and line().message_of(id, own_list(f[4]))
  if message then redis.call('LREM', P .. 'celery:' .. own_list(f[4]), 1, message) end
  give_back_holds(id, queue, now_ms())
  put_ready(id, queue, f[2], tonumber(came_in(id)), f[3] or '')
  return true
end

local function unmark(id, marks)
  for _, name in ipairs(cjson.decode(marks)) do redis.call('SREM', P .. 'marked:' .. name, id) end
end

-- A job that ended badly is listed for as long as it is known. Some that are known no more go with each that comes.
local function bury(id, at, keep_ms)
  local forgotten = redis.call('ZRANGEBYSCORE', P .. 'dead', '-inf', ms(at), 'LIMIT', 0, 10)
  if #forgotten > 0 then redis.call('ZREM', P .. 'dead', unpack(forgotten)) end
  redis.call('ZADD', P .. 'dead', ms(at + keep_ms), id)
end

-- The last step of every job, whatever ended it. `f` are its idem, marks and sig; they are read where not given.
local function close(id, state, at, keep_ms, f)
  redis.call('HSET', job_key(id), 'state', state, 'ended', ms(at))
  redis.call('PEXPIRE', job_key(id), keep_ms)
  f = f or redis.call('HMGET', job_key(id), 'idem', 'marks', 'sig')
  if f[3] and f[3] ~= '' then spent().spend(id, f[3]) end
  if f[1] then redis.call('PEXPIRE', P .. 'idem:' .. f[1], keep_ms) end
  if f[2] then unmark(id, f[2]) end
  if DEAD[state] then bury(id, at, keep_ms) end
  redis.call('PUBLISH', P .. 'done:' .. id, state)
end

-- Ends a job that never ran, or whose run will report no more.
local function end_unrun(id, queue, state, reason, at, keep_ms, run_id)
  leave_waiting(id, queue, lane_of(id))
  leave_running(id, queue, at)
  local rev = redis.call('HINCRBY', job_key(id), 'rev', 1)
  redis.call('HSET', job_key(id), 'reason', reason)
  close(id, state, at, keep_ms)
  emit('moved', id, rev, at, cjson.encode({ state = state, reason = reason, run_id = run_id }))
end

-- A job that is still to run expires when it was to, and its script lives for a week from when it is due. Gives its lane.
local function still_to_run(id, due)
  local f = redis.call('HMGET', job_key(id), 'expires', 'blob', 'lane')
  if f[1] then redis.call('ZADD', P .. 'expiring', f[1], id) end
  if f[2] then redis.call('PEXPIREAT', P .. 'blob:' .. f[2], ms(due + BLOB_LIFE_MS), 'GT') end
  return f[3] or ''
end

local function to_delayed(id, due)
  still_to_run(id, due)
  redis.call('HSET', job_key(id), 'state', 'delayed', 'ready_at', ms(due))
  redis.call('ZADD', P .. 'delayed', ms(due), id)
end

-- `since` is when it came into line, where it keeps the place that it had.
local function to_queued(id, queue, prio, at, since)
  local lane = still_to_run(id, at)
  local came = since and tonumber(since) or at
  redis.call('HSET', job_key(id), 'state', 'queued', 'ready_at', ms(at), 'came', ms(came))
  put_ready(id, queue, prio, came, lane)
end

-- What a claim looks at before it takes a job; see take.
local function claimable(id)
  return redis.call('HMGET', job_key(id), 'state', 'queue', 'spec', 'sig', 'ready_at', 'expires', 'first_start',
    'kind', 'name', 'argsrepr', 'prio', 'losses', 'idem', 'idem_hash', 'blob', 'ooms',
    'lane', 'bounds', 'unfit', 'rev', 'attempt')
end

local function one_more(number) return tonumber(number or 0) + 1 end

-- A job's past with one more claim: what is over is not taken for what the server forgot; see renew.lua.
local function past_with(past, claim) return (past or ' ') .. claim .. ' ' end

local function put_past(id, claim)
  redis.call('HSET', job_key(id), 'past', past_with(redis.call('HGET', job_key(id), 'past'), claim))
end

-- A run holds the keys and the place of its job, also one that others were not asked about: it is there.
local function hold_for_run(id, lane, claim, worker, at)
  if not is_bound(lane) then return end
  gates().hold_from_now(lane, id, claim, at)
  if placement().needs_place(lane) then placement().put_placed(id, lane, worker) end
end

-- The job has left where it waited.
local function start_run(id, queue, lane, claim, worker, lease, rev, attempt, at, first)
  hold_for_run(id, lane, claim, worker, at)
  redis.call('HSET', job_key(id), 'state', 'running', 'claim', claim, 'worker', worker, 'started', ms(at),
    'first_start', first, 'rev', ms(rev), 'attempt', ms(attempt))
  redis.call('ZADD', P .. 'leases', ms(at + lease), id)
  redis.call('SADD', P .. 'running:' .. queue, id)
  emit('claimed', id, ms(rev), at, cjson.encode({ run_id = claim, attempt = attempt, worker = worker }))
end

-- A server that lost its last second has the job as it was before the claim.
local function is_forgotten(id, claim)
  local f = redis.call('HMGET', job_key(id), 'state', 'claim', 'past')
  return f[1] == 'queued' and (not f[2] or f[2] == claim) and
    not string.find(f[3] or '', ' ' .. claim .. ' ', 1, true)
end

local function take_again(id, claim, worker, lease, at)
  local f = redis.call('HMGET', job_key(id), 'queue', 'first_start', 'rev', 'lane', 'attempt')
  -- The store may have seen later revisions than the server has now: the clock is higher than all of them.
  local rev = math.max(one_more(f[3]), at)
  leave_waiting(id, f[1], f[4] or '')
  start_run(id, f[1], f[4] or '', claim, worker, lease, rev, one_more(f[5]), at, f[2] or ms(at))
end

-- Gives a queued job, whose fields are `f`, to a worker: {'claimed', id, …}, {'expired'} or {'lost'}. One that is
-- `out_of_line` already stands nowhere else but among those that expire.
local function take(id, f, claim, worker, lease, at, keep_ms, out_of_line)
  local queue = f[2]
  if f[6] and tonumber(f[6]) <= at then
    end_unrun(id, queue, 'expired', 'expired before it could start', at, keep_ms)
    return { 'expired' }
  end
  if f[19] then
    end_unrun(id, queue, 'lost', f[19], at, keep_ms)
    return { 'lost' }
  end
  if not out_of_line then
    leave_waiting(id, queue, f[17] or '')
  elseif f[6] then
    redis.call('ZREM', P .. 'expiring', id)
  end
  local first, attempt = f[7] or ms(at), one_more(f[21])
  start_run(id, queue, f[17] or '', claim, worker, lease, one_more(f[20]), attempt, at, first)
  return { 'claimed', id, queue, f[3], f[4], attempt, f[5], ms(at), first, f[8], f[9], f[10], f[11],
    f[6] or '0', f[12] or '0', f[13] or '', f[14] or '', f[15] or '', f[16] or '0', f[17] or '',
    f[18] or '', f[4] and f[4] ~= '' and spent().is_spent(id, f[4]) and '1' or '0' }
end
