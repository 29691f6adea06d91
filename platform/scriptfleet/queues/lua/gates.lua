-- Gates: what holds lanes back across the fleet. c:<concurrency key> has room while fewer jobs hold the key than its
-- limit; r:<rate key> while fewer starts lie within its window; p (one a queue, see placement.lua) while some worker
-- fits. A job passes its gates when it is handed on, to Celery or to a worker, and holds them until its run is over.
-- Where a gate has room and lanes of a queue are parked at it, one of them is open: no room is left unused.
-- A job's bounds are 'LIMIT COUNT WINDOW': of its concurrency key, and of its rate key in jobs and ms; 0 for none. The
-- bounds of a key are those submitted last.
local BOUNDS_LIFE_MS = BLOB_LIFE_MS
local UNSTARTED = '+inf'
-- Bounds that this script has noted: many jobs of one submit share them.
local noted = {}

local function gates_of(lane)
  local asked, gates = asks(lane), {}
  if asked.c then gates[1] = 'c:' .. asked.c end
  if asked.r then gates[#gates + 1] = 'r:' .. asked.r end
  return gates
end

local function bounds_in(text)
  local limit, count, window = string.match(text or '', '^(%d+) (%d+) (%d+)$')
  return tonumber(limit or 0), tonumber(count or 0), tonumber(window or 0)
end

local function bounds_key(gate) return P .. 'bounds:' .. gate end

-- The bounds of a gate now: jobs at once, or jobs and window. Where they were forgotten, those of the job `id` hold.
local function bounds_of(gate, id, at)
  local found = redis.call('GET', bounds_key(gate))
  if not found and id then
    local limit, count, window = bounds_in(redis.call('HGET', job_key(id), 'bounds'))
    found = string.sub(gate, 1, 1) == 'c' and ms(limit) or ms(count) .. ' ' .. ms(window)
    redis.call('SET', bounds_key(gate), found, 'PX', ms(BOUNDS_LIFE_MS))
  end
  if not found then return nil end
  local most, window = string.match(found, '^(%d+) ?(%d*)$')
  return tonumber(most), tonumber(window)
end

local function held_key(gate) return P .. 'held:' .. gate end

-- How long ago starts stop to count, the bounds being known. Jobs handed on and not yet started count at any time.
local function drop_old_starts(gate, window, at)
  redis.call('ZREMRANGEBYSCORE', held_key(gate), '-inf', ms(at - window))
end

local function has_room(gate, id, at)
  local most, window = bounds_of(gate, id, at)
  -- Nobody remembers: the first job of the lane will tell.
  if not most then return true end
  if string.sub(gate, 1, 1) == 'c' then return redis.call('SCARD', held_key(gate)) < most end
  drop_old_starts(gate, window, at)
  return redis.call('ZCARD', held_key(gate)) < most
end

-- A rate's gate has room again when its oldest start leaves the window: nothing else would tell. It is noted as soon as
-- the rate is used up, so that all know in time, also of lanes that come to wait there later.
local function note_due(gate, at)
  local oldest = redis.call('ZRANGE', held_key(gate), 0, 0, 'WITHSCORES')
  local _, window = bounds_of(gate, nil, at)
  if not window or not oldest[2] or oldest[2] == 'inf' then return end
  redis.call('ZADD', P .. 'rates_due', ms(tonumber(oldest[2]) + window), gate)
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

local function look(gate, queue)
  local at = now_ms()
  if redis.call('SISMEMBER', P .. 'parked_in:' .. gate, queue) == 0 then return end
  if has_room(gate, nil, at) then
    unpark(queue, gate)
  elseif string.sub(gate, 1, 1) == 'r' then
    note_due(gate, at)
  end
end

local function look_for(lane, queue)
  for _, gate in ipairs(gates_of(lane)) do look(gate, queue) end
end

local function park(queue, lane, gate, at)
  unlist(queue, lane)
  redis.call('HSET', P .. 'parked:' .. queue, lane, gate)
  redis.call('ZADD', P .. 'parked:' .. queue .. ':' .. gate, ms(at), lane)
  redis.call('SADD', P .. 'parked_in:' .. gate, queue)
  -- The lane may have been the only open one at its other gate.
  look_for(lane, queue)
end

-- A gate has got room: in each queue the lane that waits longest may try.
local function open_gate(gate)
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'parked_in:' .. gate)) do
    look(gate, queue)
    touched[queue] = true
  end
end

local function open_due(at)
  for _, gate in ipairs(redis.call('ZRANGEBYSCORE', P .. 'rates_due', '-inf', ms(at), 'LIMIT', 0, 20)) do
    redis.call('ZREM', P .. 'rates_due', gate)
    if has_room(gate, nil, at) then open_gate(gate) else note_due(gate, at) end
  end
end

-- The first gate of a lane that keeps job `id` back, or nil.
local function closed_gate(lane, id, at)
  for _, gate in ipairs(gates_of(lane)) do
    if not has_room(gate, id, at) then return gate end
  end
end

-- A rate's starts are forgotten by the server itself once all of them have left the window.
local function let_rest(gate, at)
  local _, window = bounds_of(gate, nil, at)
  if window and redis.call('ZCOUNT', held_key(gate), UNSTARTED, UNSTARTED) == 0 then
    redis.call('PEXPIRE', held_key(gate), ms(window))
  end
end

-- The job has been handed on.
local function hold(lane, id)
  local asked = asks(lane)
  if asked.c then redis.call('SADD', held_key('c:' .. asked.c), id) end
  if asked.r then
    redis.call('ZADD', held_key('r:' .. asked.r), UNSTARTED, id)
    redis.call('PEXPIRE', held_key('r:' .. asked.r), ms(BOUNDS_LIFE_MS))
  end
end

-- Its run starts: from now on it holds its rate by the moment, under its claim, since another attempt counts anew.
local function hold_from_now(lane, id, claim, at)
  local asked = asks(lane)
  if asked.c then redis.call('SADD', held_key('c:' .. asked.c), id) end
  if not asked.r then return end
  local gate = 'r:' .. asked.r
  redis.call('ZREM', held_key(gate), id)
  redis.call('ZADD', held_key(gate), ms(at), claim)
  let_rest(gate, at)
  if redis.call('EXISTS', P .. 'parked_in:' .. gate) == 1 or not has_room(gate, nil, at) then note_due(gate, at) end
end

local function let_go(gate, id, at)
  local is_rate = string.sub(gate, 1, 1) == 'r'
  if redis.call(is_rate and 'ZREM' or 'SREM', held_key(gate), id) == 0 then return end
  if is_rate then let_rest(gate, at) end
  open_gate(gate)
end

local function release(lane, id, at)
  for _, gate in ipairs(gates_of(lane)) do let_go(gate, id, at) end
end

-- Notes the bounds that came with a job: the newest hold for all jobs of the key.
local function set_bounds(lane, text)
  local asked = asks(lane)
  local limit, count, window = bounds_in(text)
  local said = {}
  if asked.c then said['c:' .. asked.c] = ms(limit) end
  if asked.r then said['r:' .. asked.r] = ms(count) .. ' ' .. ms(window) end
  for gate, now in pairs(said) do
    local before = noted[gate]
    if before ~= now then before = redis.call('SET', bounds_key(gate), now, 'PX', ms(BOUNDS_LIFE_MS), 'GET') end
    noted[gate] = now
    if before ~= now then open_gate(gate) end
  end
end

return { look_for = look_for, park = park, unpark = unpark, open_due = open_due, closed_gate = closed_gate, hold = hold,
  hold_from_now = hold_from_now, release = release, let_go = let_go, set_bounds = set_bounds, bounds_of = bounds_of, gates_of = gates_of }
