#!lua flags=allow-oom
-- A worker's sign of life; also on a full server, where jobs go on to end. ARGV: 'tell', name, lifetime ms, queues with
-- commas, then fields and values. Gives nothing.
-- Or 'join', name, lifetime ms, host, pid: reserves a name that no other process holds. Gives nothing, or the host and
-- pid that hold it.
local what, name, lifetime, at = ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms()
local key = P .. 'worker:' .. name

if what == 'join' then
  local f = redis.call('HMGET', key, 'host', 'pid', 'reserved')
  local seen = tonumber(redis.call('ZSCORE', P .. 'workers', name) or f[3] or 0)
  if f[2] and seen > at - lifetime and (f[1] ~= ARGV[4] or f[2] ~= ARGV[5]) then return { f[1], f[2] } end
  redis.call('HSET', key, 'host', ARGV[4], 'pid', ARGV[5], 'reserved', ms(at))
else
  redis.call('HSET', key, 'queues', ARGV[4], unpack(ARGV, 5))
  redis.call('ZADD', P .. 'workers', ms(at), name)
  for queue in string.gmatch(ARGV[4], '[^,]+') do redis.call('SADD', P .. 'queues', queue) end
end
redis.call('PEXPIRE', key, ms(lifetime * 4))
return false
