#!lua flags=allow-oom
-- A worker's sign of life; also on a full server, where jobs go on to end. ARGV: 'tell', name, lifetime ms, queues with
-- commas, then fields and values. Gives the last order to cordon or uncordon it, its order to drain (each '' when there
-- is none), and how full the server is, percent.
-- Or 'join', name, lifetime ms, host, pid: reserves a name that no other process holds. Gives nothing, or the host and
-- pid that hold it.
-- Or 'order', name, life ms, 'cordon' or 'drain', text: leaves an order for the worker. Or 'obeyed', name, life ms,
-- 'drain': takes it away. Orders to cordon stay with the name, until their life after its last sign of life.
-- Or 'leave', name: takes the entry away, and gives back what was placed there. Gives nothing.
local what, name, lifetime, at = ARGV[1], ARGV[2], tonumber(ARGV[3] or 0), now_ms()
local key, orders = P .. 'worker:' .. name, P .. 'orders:' .. name
local ORDERS_LIFE_MS = 24 * 3600 * 1000

if what == 'order' then
  redis.call('HSET', orders, ARGV[4], ARGV[5])
  redis.call('PEXPIRE', orders, ARGV[3])
  return false
elseif what == 'obeyed' then
  redis.call('HDEL', orders, ARGV[4])
  return false
elseif what == 'leave' then
  forget_worker(name)
  redis.call('DEL', key)
  return false
elseif what == 'join' then
  local f = redis.call('HMGET', key, 'host', 'pid', 'reserved')
  local seen = tonumber(redis.call('ZSCORE', P .. 'workers', name) or f[3] or 0)
  if f[2] and seen > at - lifetime and (f[1] ~= ARGV[4] or f[2] ~= ARGV[5]) then return { f[1], f[2] } end
  redis.call('HSET', key, 'host', ARGV[4], 'pid', ARGV[5], 'reserved', ms(at))
  redis.call('PEXPIRE', key, ms(lifetime * 4))
  return false
end
redis.call('HSET', key, 'queues', ARGV[4], unpack(ARGV, 5))
redis.call('ZADD', P .. 'workers', ms(at), name)
for queue in string.gmatch(ARGV[4], '[^,]+') do redis.call('SADD', P .. 'queues', queue) end
redis.call('PEXPIRE', key, ms(lifetime * 4))
local given = redis.call('HMGET', orders, 'cordon', 'drain')
if given[1] then redis.call('PEXPIRE', orders, ORDERS_LIFE_MS) end
return { given[1] or '', given[2] or '', fullness() }
