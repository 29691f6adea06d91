-- Shared by all scripts; put before each. KEYS[1] is the prefix of every key (see queues/keys.py).
-- Fields of job:<id>: spec sig kind name argsrepr queue prio state rev submitted ready_at attempt losses
--   claim worker started ended cancel record reported expires idem idem_hash reason first_start
--   blob (sha256 of its bytes), ooms (attempts that ran out of memory and were followed by another),
--   unfit (why it cannot run again; see restore.lua), past (claims that the server saw the end of, each between spaces),
--   marks (JSON list: what it is found by while it lives, each the end of a marked: key)
local P = KEYS[1]
-- A step of priority is worth ten minutes of waiting, so nothing starves.
local HEAD_START_MS = 600000
local DEFAULT_WINDOW = 16
-- As LIFETIME_SECONDS in queues/blobs.py.
local BLOB_LIFE_MS = 7 * 24 * 3600 * 1000
local LOST_TOO_OFTEN = 'its workers were lost too often'
local SCRIPT_GONE = 'its script is no longer with the broker'
local FINAL = { succeeded = 1, failed = 1, timed_out = 1, out_of_memory = 1, cancelled = 1, expired = 1,
  rejected = 1, lost = 1, skipped = 1 }
-- Ends that nobody wished for.
local DEAD = { failed = 1, timed_out = 1, out_of_memory = 1, lost = 1, rejected = 1 }

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Whole milliseconds as text: Lua's own would print 1.7e+12.
local function ms(n) return string.format('%.0f', n) end

-- How much of its memory limit the server uses, percent; 0 without a limit. Asked once a second at most: a submit is not
-- to wait for statistics.
local function fullness()
  local known = redis.call('GET', P .. 'fullness')
  if known then return tonumber(known) end
  local said = redis.call('INFO', 'memory')
  local used, most = string.match(said, 'used_memory:(%d+)'), tonumber(string.match(said, 'maxmemory:(%d+)') or 0)
  local share = most > 0 and math.floor(100 * tonumber(used) / most) or 0
  redis.call('SET', P .. 'fullness', share, 'PX', 1000)
  return share
end

local function job_key(id) return P .. 'job:' .. id end

local function emit(kind, id, rev, at, data)
  redis.call('XADD', P .. 'events', '*', 'v', '1', 't', kind, 'j', id, 'r', rev, 'at', ms(at), 'd', data)
end

local function put_ready(id, queue, prio, at)
  redis.call('ZADD', P .. 'ready:' .. queue, ms(at - tonumber(prio) * HEAD_START_MS), id)
end

-- Hands waiting jobs to Celery until the queue's window is full. `template` is a Celery message with @MARKS@.
local function admit(queue, template, at)
  local admitted = P .. 'admitted:' .. queue
  local window = tonumber(redis.call('GET', P .. 'window:' .. queue) or DEFAULT_WINDOW)
  -- Jobs that were cancelled or expired leave their messages behind: the list is bounded too, not its live part alone.
  local listed = redis.call('LLEN', P .. 'celery:' .. queue)
  local free = math.min(window - redis.call('ZCARD', admitted), 2 * window - listed)
  if free <= 0 then return 0 end
  local ids = redis.call('ZPOPMIN', P .. 'ready:' .. queue, free)
  for i = 1, #ids, 2 do
    local id = ids[i]
    local f = redis.call('HMGET', job_key(id), 'kind', 'name', 'argsrepr')
    if f[1] then
      local marks = { ID = cjson.encode(id), TAG = cjson.encode(id .. ':' .. ms(at)), QUEUE = cjson.encode(queue),
        TASK = cjson.encode('scriptfleet.' .. f[1]), NAME = cjson.encode(f[2]), ARGS = cjson.encode(f[3]) }
      redis.call('LPUSH', P .. 'celery:' .. queue, (string.gsub(template, '@(%u+)@', marks)))
      redis.call('ZADD', admitted, ms(at), id)
    end
  end
  return #ids / 2
end

local function leave_waiting(id, queue)
  redis.call('ZREM', P .. 'ready:' .. queue, id)
  redis.call('ZREM', P .. 'admitted:' .. queue, id)
  redis.call('ZREM', P .. 'delayed', id)
  redis.call('ZREM', P .. 'expiring', id)
end

local function leave_running(id, queue)
  redis.call('ZREM', P .. 'leases', id)
  redis.call('SREM', P .. 'running:' .. queue, id)
  redis.call('HDEL', P .. 'live', id)
end

-- While a job lives it is found by its group and labels.
local function mark(id, marks)
  if marks == '' then return end
  redis.call('HSET', job_key(id), 'marks', marks)
  for _, name in ipairs(cjson.decode(marks)) do redis.call('SADD', P .. 'marked:' .. name, id) end
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

-- The last step of every job, whatever ended it.
local function close(id, state, at, keep_ms)
  redis.call('HSET', job_key(id), 'state', state, 'ended', ms(at))
  redis.call('PEXPIRE', job_key(id), keep_ms)
  local f = redis.call('HMGET', job_key(id), 'idem', 'marks')
  if f[1] then redis.call('PEXPIRE', P .. 'idem:' .. f[1], keep_ms) end
  if f[2] then unmark(id, f[2]) end
  if DEAD[state] then bury(id, at, keep_ms) end
  redis.call('PUBLISH', P .. 'done:' .. id, state)
end

-- Ends a job that never ran, or whose run will report no more.
local function end_unrun(id, queue, state, reason, at, keep_ms, run_id)
  leave_waiting(id, queue)
  leave_running(id, queue)
  local rev = redis.call('HINCRBY', job_key(id), 'rev', 1)
  redis.call('HSET', job_key(id), 'reason', reason)
  close(id, state, at, keep_ms)
  emit('moved', id, rev, at, cjson.encode({ state = state, reason = reason, run_id = run_id }))
end

-- A job that is still to run expires when it was to, and its script lives for a week from when it is due.
local function still_to_run(id, due)
  local f = redis.call('HMGET', job_key(id), 'expires', 'blob')
  if f[1] then redis.call('ZADD', P .. 'expiring', f[1], id) end
  if f[2] then redis.call('PEXPIREAT', P .. 'blob:' .. f[2], ms(due + BLOB_LIFE_MS), 'GT') end
end

local function to_delayed(id, due)
  still_to_run(id, due)
  redis.call('HSET', job_key(id), 'state', 'delayed', 'ready_at', ms(due))
  redis.call('ZADD', P .. 'delayed', ms(due), id)
end

-- `since` is when it came into line, where it keeps the place that it had.
local function to_queued(id, queue, prio, at, since)
  still_to_run(id, at)
  redis.call('HSET', job_key(id), 'state', 'queued', 'ready_at', ms(at))
  put_ready(id, queue, prio, since and tonumber(since) or at)
end

-- What a claim looks at before it takes a job; see take.
local function claimable(id)
  return redis.call('HMGET', job_key(id), 'state', 'queue', 'spec', 'sig', 'ready_at', 'expires', 'first_start',
    'kind', 'name', 'argsrepr', 'prio', 'losses', 'idem', 'idem_hash', 'blob', 'ooms')
end

-- Remembers that a claim is over, so that it is not taken for one that the server forgot; see renew.lua.
local function put_past(id, claim)
  redis.call('HSET', job_key(id), 'past', (redis.call('HGET', job_key(id), 'past') or ' ') .. claim .. ' ')
end

local function start_run(id, queue, claim, worker, lease, rev, at, first)
  leave_waiting(id, queue)
  local attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1)
  redis.call('HSET', job_key(id), 'state', 'running', 'claim', claim, 'worker', worker, 'started', ms(at),
    'first_start', first, 'rev', ms(rev))
  redis.call('ZADD', P .. 'leases', ms(at + lease), id)
  redis.call('SADD', P .. 'running:' .. queue, id)
  emit('claimed', id, ms(rev), at, cjson.encode({ run_id = claim, attempt = attempt, worker = worker }))
  return attempt
end

-- A server that lost its last second has the job as it was before the claim.
local function is_forgotten(id, claim)
  local f = redis.call('HMGET', job_key(id), 'state', 'claim', 'past')
  return f[1] == 'queued' and (not f[2] or f[2] == claim) and
    not string.find(f[3] or '', ' ' .. claim .. ' ', 1, true)
end

local function take_again(id, claim, worker, lease, at)
  local f = redis.call('HMGET', job_key(id), 'queue', 'first_start', 'rev')
  -- The store may have seen later revisions than the server has now: the clock is higher than all of them.
  start_run(id, f[1], claim, worker, lease, math.max(tonumber(f[3]) + 1, at), at, f[2] or ms(at))
end

-- Gives a queued job, whose fields are `f`, to a worker: {'claimed', id, …}, {'expired'} or {'lost'}.
local function take(id, f, claim, worker, lease, at, keep_ms)
  local queue = f[2]
  if f[6] and tonumber(f[6]) <= at then
    end_unrun(id, queue, 'expired', 'expired before it could start', at, keep_ms)
    return { 'expired' }
  end
  local unfit = redis.call('HGET', job_key(id), 'unfit')
  if unfit then
    end_unrun(id, queue, 'lost', unfit, at, keep_ms)
    return { 'lost' }
  end
  local first = f[7] or ms(at)
  local attempt = start_run(id, queue, claim, worker, lease, redis.call('HINCRBY', job_key(id), 'rev', 1), at, first)
  return { 'claimed', id, queue, f[3], f[4], attempt, f[5], ms(at), first, f[8], f[9], f[10], f[11],
    f[6] or '0', f[12] or '0', f[13] or '', f[14] or '', f[15] or '', f[16] or '0' }
end

-- What is said of a job to write, in this order: id, spec, sig, kind, name, argsrepr, queue, prio, not_before ms or 0,
--   expires ms or 0, idempotency key or '', hash of the spec, sha256 of its bytes or '', its marks or ''. See
--   job_arguments in queues/submission.py.
local JOB_ARGUMENTS = 14

local function job_arguments(from)
  local a = {}
  for k = 1, JOB_ARGUMENTS do a[k] = ARGV[from + k - 1] end
  return a
end

-- Writes a job that the server does not know, all but its place in line: that is place_job's.
local function write_job(a, rev, attempt, at)
  local id, expires, key, blob = a[1], a[10], a[11], a[13]
  redis.call('HSET', job_key(id), 'spec', a[2], 'sig', a[3], 'kind', a[4], 'name', a[5], 'argsrepr', a[6],
    'queue', a[7], 'prio', a[8], 'rev', rev, 'submitted', ms(at), 'attempt', attempt, 'losses', 0)
  redis.call('SADD', P .. 'queues', a[7])
  if expires ~= '0' then redis.call('HSET', job_key(id), 'expires', expires) end
  if blob ~= '' then redis.call('HSET', job_key(id), 'blob', blob) end
  mark(id, a[14])
  if key ~= '' then
    redis.call('HSET', job_key(id), 'idem', key, 'idem_hash', a[12])
    redis.call('HSET', P .. 'idem:' .. key, 'id', id, 'hash', a[12])
  end
end

-- Puts a written job in line, or among the delayed; gives the state it has now.
local function place_job(a, at)
  local due = tonumber(a[9])
  if due > at then to_delayed(a[1], due) return 'delayed' end
  to_queued(a[1], a[7], a[8], at)
  return 'queued'
end

local function lacks_bytes(a)
  return a[13] ~= '' and redis.call('EXISTS', P .. 'blob:' .. a[13]) == 0
end
