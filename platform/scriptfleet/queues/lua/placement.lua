-- Placement: jobs that ask for labels or memory go to the list of a worker that fits, one that only it serves, and not
-- to the queue's. What was put there counts against the worker's memory and slots until its run is over: placed:<worker>.
-- Seconds matter here: a worker that gave no sign of life for longer is chosen for nothing.
local FRESH_MS = 5000
local workers_seen

local function needs_place(lane)
  local asked = asks(lane)
  return asked.l ~= nil or asked.m ~= nil
end

local function has_labels(wanted, offered)
  for name, value in pairs(wanted or NOTHING) do
    if offered[name] ~= value then return false end
  end
  return true
end

local function read_worker(name)
  local f = redis.call('HMGET', P .. 'worker:' .. name, 'slots', 'queues', 'labels', 'memory_mb', 'state', 'running')
  if not f[1] or not f[2] then return nil end
  return { name = name, slots = tonumber(f[1]), queues = ',' .. f[2] .. ',', labels = cjson.decode(f[3] or '{}'),
    memory_mb = tonumber(f[4] or '') or 0, takes = (f[5] or 'ready') == 'ready', running = tonumber(f[6] or 0) }
end

local function workers_now(at)
  if not workers_seen then
    workers_seen = {}
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', ms(at - FRESH_MS), '+inf')) do
      workers_seen[#workers_seen + 1] = read_worker(name)
    end
  end
  return workers_seen
end

-- How full a worker is when it gets one more: 1 and less means at once; nil when it has no room for it.
local function load_with(worker, asked)
  local placed = redis.call('ZRANGE', P .. 'placed:' .. worker.name, 0, -1, 'WITHSCORES')
  local promised = asked.m or 0
  for n = 2, #placed, 2 do promised = promised + tonumber(placed[n]) end
  if asked.m and promised > worker.memory_mb then return nil end
  -- As many may wait there as run: one that waits is moved on after a while, when another has room; see tick.lua.
  if #placed / 2 >= 2 * worker.slots then return nil end
  -- Messages of jobs that were cancelled lie there until it reads them.
  if redis.call('LLEN', P .. 'celery:' .. own_list(worker.name)) >= 4 * worker.slots then return nil end
  return (math.max(worker.running, #placed / 2) + 1) / worker.slots
end

local function may_have(worker, queue, asked)
  return worker.takes and string.find(worker.queues, ',' .. queue .. ',', 1, true) ~= nil and
    has_labels(asked.l, worker.labels)
end

-- The emptiest worker that fits, or nil.
local function place_for(queue, lane, at)
  local asked, best, least = asks(lane), nil, nil
  for _, worker in ipairs(workers_now(at)) do
    local full = may_have(worker, queue, asked) and load_with(worker, asked)
    if full and (not least or full < least) then best, least = worker.name, full end
  end
  return best, least
end

local function fits(name, queue, lane)
  local worker = read_worker(name)
  return worker ~= nil and may_have(worker, queue, asks(lane)) and load_with(worker, asks(lane)) ~= nil
end

local function put_placed(id, lane, worker)
  local before = redis.call('HGET', job_key(id), 'placed')
  if before and before ~= worker then redis.call('ZREM', P .. 'placed:' .. before, id) end
  redis.call('ZADD', P .. 'placed:' .. worker, ms(asks(lane).m or 0), id)
  redis.call('HSET', job_key(id), 'placed', worker)
end

-- A worker has room again: lanes that wait for one may try, those first that wait longest.
local function try_places(queue, most)
  for _ = 1, math.min(most, redis.call('ZCARD', P .. 'parked:' .. queue .. ':p')) do gates().unpark(queue, 'p') end
end

local function leave_place(id, queue, worker)
  redis.call('HDEL', job_key(id), 'placed')
  if redis.call('ZREM', P .. 'placed:' .. worker, id) == 0 then return end
  try_places(queue, 4)
  touched[queue] = true
end

return { needs_place = needs_place, read_worker = read_worker, place_for = place_for, fits = fits,
  put_placed = put_placed, try_places = try_places, leave_place = leave_place }
