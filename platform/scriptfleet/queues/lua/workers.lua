-- What a worker leaves behind.
-- A worker is gone: what was placed with it and has not started goes back in line, and its own list goes with it.
local function forget_worker(name)
  redis.call('ZREM', P .. 'workers', name)
  for _, id in ipairs(redis.call('ZRANGE', P .. 'placed:' .. name, 0, -1)) do
    local f = redis.call('HMGET', job_key(id), 'state', 'queue')
    if f[1] == 'queued' then
      hand_back(id, f[2])
      touched[f[2]] = true
    end
  end
  redis.call('DEL', P .. 'celery:' .. own_list(name))
end
