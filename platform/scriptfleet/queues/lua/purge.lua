#!lua flags=allow-oom
-- Cancels some of the jobs that wait in a queue. ARGV: queue, 'queued' or 'delayed', most, where to go on, keep ms.
-- Gives {cancelled, where to go on or -1 when all has been seen}. The caller comes again: other work goes on in between.
local queue, which, most, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
local at, cancelled = now_ms(), 0

local function cancel(id)
  end_unrun(id, queue, 'cancelled', 'cancelled when its queue was purged', at, keep)
  cancelled = cancelled + 1
end

if which == 'delayed' then
  -- One set for all queues, which others change meanwhile: a scan passes over none that stays in it.
  local found = redis.call('ZSCAN', P .. 'delayed', ARGV[4], 'COUNT', most)
  for n = 1, #found[2], 2 do
    local id = found[2][n]
    if redis.call('HGET', job_key(id), 'queue') == queue then
      -- A scan gives more than it was asked for where its table has just grown or shrunk: those come again.
      if cancelled == most then return { cancelled, ARGV[4] } end
      cancel(id)
    end
  end
  return { cancelled, found[1] == '0' and '-1' or found[1] }
end

local function some_waiting()
  for _, lane in ipairs({ '', redis.call('SRANDMEMBER', P .. 'lanes:' .. queue) or nil }) do
    local ids = redis.call('ZRANGE', ready_key(queue, lane), 0, most - cancelled - 1)
    if #ids > 0 then return ids end
  end
  return redis.call('ZRANGE', P .. 'admitted:' .. queue, 0, most - cancelled - 1)
end

while cancelled < most do
  local ids = some_waiting()
  if #ids == 0 then return { cancelled, -1 } end
  for _, id in ipairs(ids) do cancel(id) end
end
return { cancelled, 0 }
