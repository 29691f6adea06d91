#!lua
-- Writes any number of jobs, each whole or not at all; a job whose id or idempotency key is known is left as it is.
-- ARGV: message template, count, then for each job: id, spec, sig, kind, name, argsrepr, queue, prio,
--   not_before ms or 0, expires ms or 0, idempotency key or '', hash of the spec, sha256 of its bytes or ''
-- Gives for each job: id it has now, and 'new', 'same', 'conflict', or 'blob missing': nothing was written of a job whose
-- bytes are not there.
local template, at = ARGV[1], now_ms()
local answer, touched = {}, {}

local function known(id, key, hash)
  if key ~= '' then
    local held = redis.call('HMGET', P .. 'idem:' .. key, 'id', 'hash')
    if held[1] then return held[1], held[2] == hash and 'same' or 'conflict' end
  end
  if redis.call('EXISTS', job_key(id)) == 1 then return id, 'same' end
end

local function lacks_bytes(id, blob)
  if blob ~= '' and redis.call('EXISTS', P .. 'blob:' .. blob) == 0 then return id, 'blob missing' end
end

local function place(id, queue, prio, due)
  if due > at then to_delayed(id, due) return 'delayed' end
  to_queued(id, queue, prio, at)
  touched[queue] = true
  return 'queued'
end

for n = 0, tonumber(ARGV[2]) - 1 do
  local a = {}
  for k = 1, 13 do a[k] = ARGV[2 + n * 13 + k] end
  local id, spec, sig, kind, name, args, queue, prio = a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]
  local due, expires, key, hash = tonumber(a[9]), tonumber(a[10]), a[11], a[12]
  local blob = a[13]
  local held, how = known(id, key, hash)
  if not held then held, how = lacks_bytes(id, blob) end
  if not held then
    redis.call('HSET', job_key(id), 'spec', spec, 'sig', sig, 'kind', kind, 'name', name, 'argsrepr', args,
      'queue', queue, 'prio', prio, 'rev', 1, 'submitted', ms(at), 'attempt', 0, 'losses', 0)
    redis.call('SADD', P .. 'queues', queue)
    if expires > 0 then
      redis.call('HSET', job_key(id), 'expires', ms(expires))
    end
    if blob ~= '' then redis.call('HSET', job_key(id), 'blob', blob) end
    if key ~= '' then
      redis.call('HSET', job_key(id), 'idem', key, 'idem_hash', hash)
      redis.call('HSET', P .. 'idem:' .. key, 'id', id, 'hash', hash)
    end
    local state = place(id, queue, prio, due)
    emit('submitted', id, 1, at, cjson.encode({ spec = spec, state = state }))
    held, how = id, 'new'
  end
  answer[#answer + 1] = held
  answer[#answer + 1] = how
end
for queue in pairs(touched) do admit(queue, template, at) end
return answer
