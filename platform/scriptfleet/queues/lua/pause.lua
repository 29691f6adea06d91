#!lua flags=allow-oom
-- Pauses a queue, or lets it go on. ARGV: 'pause' or 'resume', queue, message template. Gives 1 when that changed it.
-- A paused queue takes submits; what runs goes on. What Celery has of it is taken back, and holds no limit meanwhile:
-- its messages come to workers in vain.
local what, queue, template, at = ARGV[1], ARGV[2], ARGV[3], now_ms()
local key = P .. 'queue:' .. queue
if what == 'resume' then
  local changed = redis.call('HDEL', key, 'paused')
  admit(queue, template, at)
  return changed
end
redis.call('SADD', P .. 'queues', queue)
local changed = redis.call('HSETNX', key, 'paused', ms(at))
for _, id in ipairs(redis.call('ZRANGE', P .. 'admitted:' .. queue, 0, -1)) do hand_back(id, queue) end
admit(queue, template, at)
return changed
