#!lua flags=allow-oom
-- Ends a run. ARGV: job, claim id, record (JSON), state of the job now, delay ms, message template, keep ms,
--   losses allowed or '' when giving it back is no loss, '1' for a late report: of a run that ended long ago,
--   queue of another attempt or '' for the one it is in, '1' for another attempt after out of memory,
--   lane of another attempt or '' for the one it is in,
--   signature of the record or ''.
-- State 'delayed' means another attempt after the delay; 'queued' gives the job back at once.
-- Gives 'done', 'gone' when the server knows nothing of the job and nothing was done, or 'stale' when another claim owns
-- the job by now, or the report is late and the job forgotten: the record is kept, the job is not touched.
local id, claim, record, state, delay = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local template, keep, at = ARGV[6], ARGV[7], now_ms()
local function fields()
  return redis.call('HMGET', job_key(id), 'claim', 'state', 'queue', 'prio', 'cancel', 'rev', 'past', 'lane', 'placed',
    'idem', 'marks', 'sig')
end
local f = fields()

local function told(rev, stale)
  -- The record goes in as it came: through cjson an empty list would turn into an object.
  local when = state == 'delayed' and ',"due":' .. ms(at + delay) or ''
  local data = '{"run_id":' .. cjson.encode(claim) .. ',"state":' .. cjson.encode(state) .. when ..
    ',"stale":' .. stale .. ',"sig":' .. cjson.encode(ARGV[13]) .. ',"record":' .. record .. '}'
  emit('finished', id, rev, at, data)
end

if not f[2] and ARGV[9] ~= '1' then return 'gone' end
-- A run that came to an end of its own after the server forgot its claim. One that was lost or is to be tried again does
-- not take the job: a newer run that was forgotten too may live, and would have another beside it.
if FINAL[state] and f[2] == 'queued' and is_forgotten(id, claim) then
  take_again(id, claim, cjson.decode(record).worker, 0, at)
  f = fields()
end
if f[1] ~= claim or f[2] ~= 'running' then
  -- Asking twice after a lost answer is harmless: the first one stands.
  if f[1] == claim and redis.call('HGET', job_key(id), 'reported') == claim then return 'done' end
  told(0, 'true')
  return 'stale'
end
if state == 'queued' and ARGV[8] ~= '' and redis.call('HINCRBY', job_key(id), 'losses', 1) > tonumber(ARGV[8]) then
  state = 'lost'
end
-- Somebody wanted it stopped, and it ended before it heard of that: no other attempt then.
if f[5] and (state == 'delayed' or state == 'queued') then state = 'cancelled' end
if state == 'lost' then redis.call('HSET', job_key(id), 'reason', LOST_TOO_OFTEN) end
local queue, rev = f[3], ms(one_more(f[6]))
leave_running(id, queue, at, { f[8], f[9] })
redis.call('HSET', job_key(id), 'rev', rev, 'past', past_with(f[7], claim), 'record', record, 'reported', claim)
told(rev, 'false')
if state == 'delayed' then
  if ARGV[11] == '1' then redis.call('HINCRBY', job_key(id), 'ooms', 1) end
  if ARGV[10] ~= '' then
    redis.call('HSET', job_key(id), 'queue', ARGV[10])
    redis.call('SADD', P .. 'queues', ARGV[10])
  end
  if ARGV[12] ~= '' then redis.call('HSET', job_key(id), 'lane', ARGV[12]) end
  to_delayed(id, at + delay)
elseif state == 'queued' then
  redis.call('HINCRBY', job_key(id), 'attempt', -1)
  to_queued(id, queue, f[4], at, came_in(id))
else
  close(id, state, at, keep, { f[10], f[11], f[12] })
end
admit(queue, template, at)
return 'done'
