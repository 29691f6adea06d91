-- Lanes: where jobs of a queue wait (decision 0008). Jobs that ask for the same things stand in one lane, by priority
-- and age; a lane is open when its first job may go as far as is known, else parked at the gate that holds it back.
-- A lane's text is '' for jobs that ask for nothing, else JSON with some of: g (group), c (concurrency key), r (rate
-- key), l (labels that the worker must have), m (memory it must have free, MiB). Python writes it: queues/lane.py.

-- A step of priority is worth ten minutes of waiting, so nothing starves.
local HEAD_START_MS = 600000
local NOTHING = {}
local asked_by = { [''] = NOTHING }
-- Queues whose lanes were opened by this script: there is something to admit.
local touched = {}
-- Lanes that this script found open, with the score they are listed under: many jobs of one submit share a lane.
local listed_at = {}

local function asks(lane)
  local found = asked_by[lane]
  if not found then
    found = cjson.decode(lane)
    asked_by[lane] = found
  end
  return found
end

-- What is held while it waits in Celery's lists is only handed on where somebody lives to take it.
local function is_bound(lane)
  local asked = asks(lane)
  return asked.c ~= nil or asked.r ~= nil or asked.l ~= nil or asked.m ~= nil
end

-- A queue's name has no colon.
local function ready_key(queue, lane) return P .. 'ready:' .. queue .. (lane == '' and '' or ':' .. lane) end

local function open_key(queue, group) return P .. 'open:' .. queue .. (group == '' and '' or ':' .. group) end

local function lane_of(id) return redis.call('HGET', job_key(id), 'lane') or '' end

-- A group that comes, or comes back, stands behind those that were served as often as the queue's present: it gains
-- nothing by leaving, and waits for one job of each other group at most.
local function open_lane(queue, lane, score)
  local group, known = asks(lane).g or '', listed_at[queue .. ':' .. lane]
  if known and score >= known then return end
  listed_at[queue .. ':' .. lane] = score
  if redis.call('ZADD', open_key(queue, group), 'LT', ms(score), lane) == 1 then
    local present = tonumber(redis.call('HGET', P .. 'queue:' .. queue, 'present') or 0)
    redis.call('ZADD', P .. 'groups:' .. queue, 'NX', ms(present + 1), group)
  end
end

local function unlist(queue, lane)
  local group = asks(lane).g or ''
  listed_at[queue .. ':' .. lane] = nil
  redis.call('ZREM', open_key(queue, group), lane)
  if redis.call('EXISTS', open_key(queue, group)) == 0 then redis.call('ZREM', P .. 'groups:' .. queue, group) end
end

-- What stays behind of a lane whose last job has left: nothing.
local function close_lane(queue, lane)
  local gate = lane ~= '' and redis.call('HGET', P .. 'parked:' .. queue, lane)
  if lane ~= '' then redis.call('SREM', P .. 'lanes:' .. queue, lane) end
  if not gate then
    unlist(queue, lane)
    -- The lane may have been the only open one at its gates.
    if is_bound(lane) then gates().look_for(lane, queue) end
    return
  end
  local at_gate = P .. 'parked:' .. queue .. ':' .. gate
  redis.call('HDEL', P .. 'parked:' .. queue, lane)
  redis.call('ZREM', at_gate, lane)
  if redis.call('EXISTS', at_gate) == 0 then redis.call('SREM', P .. 'parked_in:' .. gate, queue) end
end

local function put_ready(id, queue, prio, at, lane)
  local score = at - tonumber(prio) * HEAD_START_MS
  local is_new = redis.call('ZADD', ready_key(queue, lane), ms(score), id) == 1
  if lane ~= '' then
    if is_new then redis.call('HINCRBY', P .. 'queue:' .. queue, 'in_lanes', 1) end
    redis.call('SADD', P .. 'lanes:' .. queue, lane)
    if redis.call('HEXISTS', P .. 'parked:' .. queue, lane) == 1 then return end
  end
  open_lane(queue, lane, score)
end

-- Takes a job out of its lane; gives whether it stood there.
local function leave_lane(id, queue, lane)
  if redis.call('ZREM', ready_key(queue, lane), id) == 0 then return false end
  if lane ~= '' then redis.call('HINCRBY', P .. 'queue:' .. queue, 'in_lanes', -1) end
  if redis.call('EXISTS', ready_key(queue, lane)) == 0 then close_lane(queue, lane) end
  return true
end
