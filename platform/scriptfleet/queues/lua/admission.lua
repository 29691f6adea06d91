-- Admission: which job of a queue goes next, and handing it on. Pausing a queue, limits, rates and placement act here.
local DEFAULT_WINDOW = 16
-- Lanes that one look may find held back, before it is left to the next.
local MOST_LOOKS = 50

local function is_paused(queue) return redis.call('HEXISTS', P .. 'queue:' .. queue, 'paused') == 1 end

-- Takes the first job of a lane out of line.
local function take_first(queue, lane, id, group)
  count_served(queue, group)
  if lane ~= '' then hold(lane, id) end
  leave_lane(id, queue, lane)
  for _, gate in ipairs(gates_of(lane)) do look(gate, queue) end
end

-- Where a job of the lane may go: a worker, or '' for whoever comes; else nil and the gate that is closed. `who` is the
-- worker that asks, if one does: nil and nil means that another may have it.
local function way_for(queue, lane, id, who, at)
  local gate = closed_gate(lane, id, at)
  if gate then return nil, gate end
  if not needs_place(lane) then return '', nil end
  if who then return fits(who, queue, lane) and who or nil, nil end
  local worker = place_for(queue, lane, at)
  return worker, not worker and 'p' or nil
end

-- What is held while it waits in Celery's lists is only handed on where somebody lives to take it.
local function is_bound(lane)
  local asked = asks(lane)
  return asked.c ~= nil or asked.r ~= nil or asked.l ~= nil or asked.m ~= nil
end

-- The queue's next job that may go, out of line, and where it goes; nil when there is none.
local function pick(queue, who, at)
  local has_workers = who or redis.call('EXISTS', P .. 'window:' .. queue) == 1
  local aside, found, way = {}, nil, nil
  for _ = 1, MOST_LOOKS do
    local lane, id, group = first_in_line(queue)
    if not lane or (is_bound(lane) and not has_workers) then break end
    local gate
    way, gate = way_for(queue, lane, id, who, at)
    if way then
      take_first(queue, lane, id, group)
      if way ~= '' then put_placed(id, lane, way) end
      found = id
      break
    elseif gate then
      park(queue, lane, gate, at)
    else
      unlist(queue, lane)
      aside[#aside + 1] = lane
    end
  end
  for _, lane in ipairs(aside) do
    local head = redis.call('ZRANGE', ready_key(queue, lane), 0, 0, 'WITHSCORES')
    open_lane(queue, lane, tonumber(head[2]))
  end
  return found, way
end

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

local function messages_in(list)
  local found = {}
  for _, message in ipairs(redis.call('LRANGE', P .. 'celery:' .. list, 0, -1)) do
    local id = string.match(message, '"id": ?"([%w-]+)"')
    if id then found[id] = message end
  end
  return found
end

-- What was read of Celery's lists by this script.
local lists = {}

-- The message of a job in a list, or nil.
local function message_of(id, list)
  lists[list] = lists[list] or messages_in(list)
  return lists[list][id]
end

-- The usual case, all jobs alike: so many at once, without a look at each.
local function send_alike(queue, free, template, at)
  local groups = redis.call('ZRANGE', P .. 'groups:' .. queue, 0, 1)
  if #groups ~= 1 or groups[1] ~= '' then return false end
  local open = redis.call('ZRANGE', open_key(queue, ''), 0, 1)
  if #open ~= 1 or open[1] ~= '' then return false end
  local ids = redis.call('ZPOPMIN', ready_key(queue, ''), free)
  for n = 1, #ids, 2 do send(ids[n], queue, '', template, at) end
  if redis.call('EXISTS', ready_key(queue, '')) == 0 then close_lane(queue, '') end
  return true
end

local function fill(queue, template, at)
  local admitted = P .. 'admitted:' .. queue
  local window = tonumber(redis.call('GET', P .. 'window:' .. queue) or DEFAULT_WINDOW)
  -- Jobs that were cancelled or expired leave their messages behind: the list is bounded too, not its live part alone.
  local listed = redis.call('LLEN', P .. 'celery:' .. queue)
  local free = math.min(window - redis.call('ZCARD', admitted), 2 * window - listed)
  if free <= 0 or is_paused(queue) or send_alike(queue, free, template, at) then return end
  for _ = 1, free do
    local id, way = pick(queue, nil, at)
    if not id then return end
    send(id, queue, way, template, at)
  end
end

-- Hands waiting jobs to Celery until the queue's window is full; so for other queues whose lanes this script opened.
local function admit(queue, template, at)
  touched[queue] = true
  open_due_gates(at)
  for _ = 1, 8 do
    local one = next(touched)
    if not one then return end
    touched[one] = nil
    fill(one, template, at)
  end
end
