#!lua flags=allow-oom
-- Takes the first job of a queue that waits behind the window, without a message: for a worker whose slot is free again.
-- ARGV: queue, claim id, worker, lease ms, keep ms. Gives what claim gives, or {'none'}.
local queue, claim, worker, lease, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local at, MOST_UNFIT = now_ms(), 50
if is_paused(queue) then return { 'none' } end
if redis.call('EXISTS', P .. 'rates_due') == 1 then gates().open_due(at) end
-- Many may expire at one moment: each call ends some of them, so that none takes the server long.
for _ = 1, MOST_UNFIT do
  local id = are_alike(queue) and pop_alike(queue, 1)[1] or line().pick(queue, worker, at)
  if not id then return { 'none' } end
  local f = claimable(id)
  if f[1] == 'queued' then
    local answer = take(id, f, claim, worker, lease, at, keep, true)
    if answer[1] == 'claimed' then return answer end
  else
    drop_ended(id, queue, f[1], at)
  end
end
return { 'none' }
