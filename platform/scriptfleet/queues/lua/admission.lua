-- Admission: which job of a queue goes next, and handing it on. Pausing a queue, limits, rates and placement act here.
local DEFAULT_WINDOW = 16

local function is_paused(queue) return redis.call('HEXISTS', P .. 'queue:' .. queue, 'paused') == 1 end

-- Queues' names have no '@', and those of workers have one.
local function own_list(worker) return 'worker.' .. worker end

-- Celery's list for a job of a queue that was placed with a worker, or with none.
local function list_of(queue, placed) return placed and own_list(placed) or queue end

-- Gives Celery the message of a job: `template` with its @MARKS@ filled in.
local function send(id, queue, way, template, at)
  local f = redis.call('HMGET', job_key(id), 'kind', 'name', 'argsrepr')
  if not f[1] then return end
  local list = list_of(queue, way ~= '' and way)
  local marks = { ID = cjson.encode(id), TAG = cjson.encode(id .. ':' .. ms(at)), QUEUE = cjson.encode(list),
    TASK = cjson.encode('scriptfleet.' .. f[1]), NAME = cjson.encode(f[2]), ARGS = cjson.encode(f[3]) }
  redis.call('LPUSH', P .. 'celery:' .. list, (string.gsub(template, '@(%u+)@', marks)))
  redis.call('ZADD', P .. 'admitted:' .. queue, ms(at), id)
end

-- Whether all jobs in line are alike and ask for nothing: the usual case, in which none needs a look.
local function are_alike(queue)
  local groups = redis.call('ZRANGE', P .. 'groups:' .. queue, 0, 1)
  if #groups ~= 1 or groups[1] ~= '' then return false end
  local open = redis.call('ZRANGE', open_key(queue, ''), 0, 1)
  return #open == 1 and open[1] == ''
end

-- Takes the first jobs out of such a line; gives ids and scores in turns.
local function pop_alike(queue, most)
  local ids = redis.call('ZPOPMIN', ready_key(queue, ''), most)
  if redis.call('EXISTS', ready_key(queue, '')) == 0 then close_lane(queue, '') end
  return ids
end

local function fill(queue, template, at)
  local admitted = P .. 'admitted:' .. queue
  local window = tonumber(redis.call('GET', P .. 'window:' .. queue) or DEFAULT_WINDOW)
  -- Jobs that were cancelled or expired leave their messages behind: the list is bounded too, not its live part alone.
  local listed = redis.call('LLEN', P .. 'celery:' .. queue)
  local free = math.min(window - redis.call('ZCARD', admitted), 2 * window - listed)
  if free <= 0 or is_paused(queue) then return end
  if are_alike(queue) then
    local ids = pop_alike(queue, free)
    for n = 1, #ids, 2 do send(ids[n], queue, '', template, at) end
    return
  end
  for _ = 1, free do
    local id, way = line().pick(queue, nil, at)
    if not id then return end
    send(id, queue, way, template, at)
  end
end

-- In how many ms the next rate is due, or -1.
local function due_in_ms(at)
  local first = redis.call('ZRANGE', P .. 'rates_due', 0, 0, 'WITHSCORES')[2]
  return first and math.max(0, tonumber(first) - at) or -1
end

-- Hands waiting jobs to Celery until the queue's window is full; so for other queues whose lanes this script opened.
local function admit(queue, template, at)
  touched[queue] = true
  if redis.call('EXISTS', P .. 'rates_due') == 1 then gates().open_due(at) end
  for _ = 1, 8 do
    local one = next(touched)
    if not one then return end
    touched[one] = nil
    fill(one, template, at)
  end
end
