#!lua flags=allow-oom
-- Takes the right to run a job whose message came. ARGV: job, claim id, worker, lease ms, message template, keep ms.
-- Gives {'claimed', id, queue, spec, sig, attempt, ready ms, now ms, first start ms, kind, name, argsrepr, prio,
-- expires ms or 0, losses, idempotency key or '', its hash or '', blob or '', ooms}, or {why not}.
local id, claim, worker, lease, template, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local at, f = now_ms(), claimable(id)
if not f[1] then return { 'gone' } end
if f[1] ~= 'queued' then
  -- Its message, which made room in the list, may have been the last.
  admit(f[2], template, at)
  return { f[1] }
end
local answer = take(id, f, claim, worker, lease, at, keep)
admit(f[2], template, at)
return answer
