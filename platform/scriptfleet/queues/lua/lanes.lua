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
-- Looks whether a gate has room for a lane more; see gates.lua.
local look

local function asks(lane)
  local found = asked_by[lane]
  if not found then
    found = cjson.decode(lane)
    asked_by[lane] = found
  end
  return found
end

-- A queue's name has no colon.
local function ready_key(queue, lane) return P .. 'ready:' .. queue .. (lane == '' and '' or ':' .. lane) end

local function open_key(queue, group) return P .. 'open:' .. queue .. (group == '' and '' or ':' .. group) end

local function lane_of(id) return redis.call('HGET', job_key(id), 'lane') or '' end

local function gates_of(lane)
  local asked, gates = asks(lane), {}
  if asked.c then gates[1] = 'c:' .. asked.c end
  if asked.r then gates[#gates + 1] = 'r:' .. asked.r end
  return gates
end

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
    for _, name in ipairs(gates_of(lane)) do look(name, queue) end
    return
  end
  local at_gate = P .. 'parked:' .. queue .. ':' .. gate
  redis.call('HDEL', P .. 'parked:' .. queue, lane)
  redis.call('ZREM', at_gate, lane)
  if redis.call('EXISTS', at_gate) == 0 then redis.call('SREM', P .. 'parked_in:' .. gate, queue) end
end

local function park(queue, lane, gate, at)
  unlist(queue, lane)
  redis.call('HSET', P .. 'parked:' .. queue, lane, gate)
  redis.call('ZADD', P .. 'parked:' .. queue .. ':' .. gate, ms(at), lane)
  redis.call('SADD', P .. 'parked_in:' .. gate, queue)
  -- The lane may have been the only open one at its other gate.
  for _, name in ipairs(gates_of(lane)) do look(name, queue) end
end

-- Opens the lane that has been parked at this gate for the longest.
local function unpark(queue, gate)
  local at_gate = P .. 'parked:' .. queue .. ':' .. gate
  local lane = redis.call('ZPOPMIN', at_gate)[1]
  if redis.call('EXISTS', at_gate) == 0 then redis.call('SREM', P .. 'parked_in:' .. gate, queue) end
  if not lane then return end
  redis.call('HDEL', P .. 'parked:' .. queue, lane)
  local head = redis.call('ZRANGE', ready_key(queue, lane), 0, 0, 'WITHSCORES')
  if head[2] then open_lane(queue, lane, tonumber(head[2])) end
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

-- The lane whose turn it is and its first job: of the group served least, the lane with the first of all heads.
local function first_in_line(queue)
  while true do
    local group = redis.call('ZRANGE', P .. 'groups:' .. queue, 0, 0)[1]
    if not group then return nil end
    local open = redis.call('ZRANGE', open_key(queue, group), 0, 1, 'WITHSCORES')
    local lane = open[1]
    local head = lane and redis.call('ZRANGE', ready_key(queue, lane), 0, 0, 'WITHSCORES') or NOTHING
    if not lane then
      redis.call('ZREM', P .. 'groups:' .. queue, group)
    elseif not head[1] then
      -- Emptied by a worker of an older version.
      close_lane(queue, lane)
    elseif open[4] and tonumber(head[2]) > tonumber(open[4]) then
      -- Its first jobs have gone since it was listed: another lane's head comes before.
      redis.call('ZADD', open_key(queue, group), head[2], lane)
      listed_at[queue .. ':' .. lane] = nil
    else
      return lane, head[1], group
    end
  end
end

-- Counts a job for its group. Virtual time is jobs served: the queue's present is that of the group served last.
local function count_served(queue, group)
  local groups = P .. 'groups:' .. queue
  if redis.call('ZCARD', groups) < 2 then return end
  redis.call('HSET', P .. 'queue:' .. queue, 'present', redis.call('ZSCORE', groups, group))
  redis.call('ZINCRBY', groups, 1, group)
end
