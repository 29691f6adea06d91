-- Writing new jobs: for submits, and for what is to restore jobs or to put them back.
-- While a job lives it is found by its group and labels.
local function mark(id, marks)
  if marks == '' then return end
  redis.call('HSET', job_key(id), 'marks', marks)
  for _, name in ipairs(cjson.decode(marks)) do redis.call('SADD', P .. 'marked:' .. name, id) end
end

-- What is said of a job to write, in this order: id, spec, sig, kind, name, argsrepr, queue, prio, not_before ms or 0,
--   expires ms or 0, idempotency key or '', hash of the spec, sha256 of its bytes or '', its marks or '', lane or '',
--   bounds or ''. See job_arguments in queues/submission.py.
local JOB_ARGUMENTS = 16

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
  if a[15] ~= '' then redis.call('HSET', job_key(id), 'lane', a[15]) end
  if a[16] ~= '' then
    redis.call('HSET', job_key(id), 'bounds', a[16])
    gates().set_bounds(a[15], a[16])
  end
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
