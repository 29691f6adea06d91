#!lua flags=allow-oom
-- Takes the right to run a job whose message came. ARGV: job, claim id, worker, lease ms, message template, keep ms,
-- Celery's list that the message stood in or '' where that is not known.
-- Gives {'claimed', id, queue, spec, sig, attempt, ready ms, now ms, first start ms, kind, name, argsrepr, prio,
-- expires ms or 0, losses, idempotency key or '', its hash or '', blob or '', ooms, lane, bounds}, or {why not}: the
-- job's state, 'gone', 'moved' to another queue since, 'paused', 'placed elsewhere', or 'waits' when its limits or this worker
-- forbid it now.
local id, claim, worker, lease, template, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local list = ARGV[7] or ''
local at, f = now_ms(), claimable(id)
if not f[1] then return { 'gone' } end

-- The message may be an old one, of a job that was taken back or handed to another since.
local function against(queue, lane)
  -- Its new queue has a message of its own, or its place in line.
  if list ~= '' and list ~= queue and list ~= own_list(worker) then
    touched[list] = true
    return 'moved'
  end
  if is_paused(queue) then
    hand_back(id, queue)
    return 'paused'
  end
  if not is_bound(lane) then return nil end
  if redis.call('ZSCORE', P .. 'admitted:' .. queue, id) then
    local placed = redis.call('HGET', job_key(id), 'placed')
    return placed and placed ~= worker and 'placed elsewhere' or nil
  end
  return not line().way_for(queue, lane, id, worker, at) and 'waits' or nil
end

local why_not = f[1] ~= 'queued' and f[1] or against(f[2], f[17] or '')
local answer = why_not and { why_not } or take(id, f, claim, worker, lease, at, keep)
-- Also when nothing was claimed: the message, which made room in the list, may have been the last.
admit(f[2], template, at)
return answer
