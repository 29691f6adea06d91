#!lua flags=allow-oom
-- Takes the first job of a queue that waits behind the window, without a message: for a worker whose slot is free again.
-- ARGV: queue, claim id, worker, lease ms, keep ms. Gives what claim gives, or {'none'}.
local queue, claim, worker, lease, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local at = now_ms()
if is_paused(queue) then return { 'none' } end
open_due_gates(at)
while true do
  local id = pick(queue, worker, at)
  if not id then return { 'none' } end
  local f = claimable(id)
  if f[1] == 'queued' then
    local answer = take(id, f, claim, worker, lease, at, keep)
    if answer[1] == 'claimed' then return answer end
  end
end
