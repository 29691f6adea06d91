#!lua flags=allow-oom
-- The id of this server's memory. It is made once; a server that was wiped has lost it. ARGV: 'look', the id to take
-- where there is none, '1' when nothing can have been lost with an earlier one. Gives the id it has, '1' when what was
-- lost with the one before is restored, and the server's clock in ms.
-- Or 'restored', id: notes that it is. Gives 1, or 0 when the server has another id.
local key = P .. 'epoch'
if ARGV[1] == 'look' then
  if redis.call('HSETNX', key, 'id', ARGV[2]) == 1 and ARGV[3] == '1' then redis.call('HSET', key, 'restored', '1') end
  local found = redis.call('HMGET', key, 'id', 'restored')
  return { found[1], found[2] or '', ms(now_ms()) }
end
if redis.call('HGET', key, 'id') ~= ARGV[2] then return 0 end
redis.call('HSET', key, 'restored', '1')
return 1
