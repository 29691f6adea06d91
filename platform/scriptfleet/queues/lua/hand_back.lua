#!lua flags=allow-oom
-- Puts a job whose message reached a worker that takes no more back into its place in line, and its message to the next
-- worker: sooner than the tick would miss it. ARGV: job, message template. Gives 1, or 0 when it is not waiting any more.
local id, template, at = ARGV[1], ARGV[2], now_ms()
local queue = redis.call('HGET', job_key(id), 'queue')
if not queue or not hand_back(id, queue) then return 0 end
admit(queue, template, at)
return 1
