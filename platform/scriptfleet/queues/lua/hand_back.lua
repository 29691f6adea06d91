#!lua flags=allow-oom
-- Puts a job whose message reached a worker that takes no more back into its place in line, and its message to the next
-- worker: sooner than the tick would miss it. ARGV: job, message template. Gives 1, or 0 when it is not waiting any more.
local id, template, at = ARGV[1], ARGV[2], now_ms()
local f = redis.call('HMGET', job_key(id), 'state', 'queue', 'prio', 'ready_at')
if f[1] ~= 'queued' or redis.call('ZREM', P .. 'admitted:' .. f[2], id) == 0 then return 0 end
put_ready(id, f[2], f[3], tonumber(f[4]))
admit(f[2], template, at)
return 1
