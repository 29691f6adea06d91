-- What a worker leaves behind, and what it is told of the server.
-- How much of its memory limit the server uses, percent; 0 without a limit. Asked once a second at most: a submit is not
-- to wait for statistics.
local function fullness()
  local known = redis.call('GET', P .. 'fullness')
  if known then return tonumber(known) end
  local said = redis.call('INFO', 'memory')
  local used, most = string.match(said, 'used_memory:(%d+)'), tonumber(string.match(said, 'maxmemory:(%d+)') or 0)
  local share = most > 0 and math.floor(100 * tonumber(used) / most) or 0
  redis.call('SET', P .. 'fullness', share, 'PX', 1000)
  return share
end

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
