#!lua flags=allow-oom
-- What every worker does about once a second, no leader: due jobs move on, expired ones end, lost runs are rescued,
-- windows are set and filled, messages that Redis lost are sent again.
-- ARGV: message template, keep ms, most per step, losses allowed, age of a message to doubt in ms, worker lifetime ms.
-- Gives {moved, expired, rescued, resent, in how many ms the next rate is due or -1}.
local template, keep, most, losses = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local doubt, lifetime, at = tonumber(ARGV[5]), tonumber(ARGV[6]), now_ms()
local moved, expired, rescued, resent = 0, 0, 0, 0

local function due_in(name)
  return redis.call('ZRANGEBYSCORE', P .. name, '-inf', ms(at), 'LIMIT', 0, most)
end

for _, id in ipairs(due_in('expiring')) do
  local f = redis.call('HMGET', job_key(id), 'state', 'queue')
  redis.call('ZREM', P .. 'expiring', id)
  if f[1] == 'queued' or f[1] == 'delayed' then
    end_unrun(id, f[2], 'expired', 'expired before it could start', at, keep)
    expired = expired + 1
  end
end

for _, id in ipairs(due_in('delayed')) do
  local f = redis.call('HMGET', job_key(id), 'state', 'queue', 'prio')
  redis.call('ZREM', P .. 'delayed', id)
  if f[1] == 'delayed' then
    to_queued(id, f[2], f[3], at)
    emit('moved', id, redis.call('HINCRBY', job_key(id), 'rev', 1), at, '{"state":"queued"}')
    moved = moved + 1
  end
end

-- Its place in line is the one it had.
local function rescue(id, queue, prio, claim)
  leave_running(id, queue, at)
  if redis.call('HINCRBY', job_key(id), 'losses', 1) > losses then
    return end_unrun(id, queue, 'lost', LOST_TOO_OFTEN, at, keep, claim)
  end
  -- A lost worker is no fault of the script: the attempt does not count.
  redis.call('HINCRBY', job_key(id), 'attempt', -1)
  redis.call('HDEL', job_key(id), 'claim')
  put_past(id, claim)
  to_queued(id, queue, prio, at, came_in(id))
  local rev = redis.call('HINCRBY', job_key(id), 'rev', 1)
  emit('moved', id, rev, at, cjson.encode({ state = 'queued', reason = 'its worker was lost', run_id = claim }))
end

for _, id in ipairs(due_in('leases')) do
  local f = redis.call('HMGET', job_key(id), 'state', 'queue', 'prio', 'claim', 'cancel')
  redis.call('ZREM', P .. 'leases', id)
  if f[1] == 'running' then
    if f[5] then
      end_unrun(id, f[2], 'cancelled', 'cancelled; its worker was lost', at, keep, f[4])
    else
      rescue(id, f[2], f[3], f[4])
    end
    rescued = rescued + 1
  end
end

-- Live workers, and with them the window of each queue: about twice the slots that serve it.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', '-inf', ms(at - lifetime))) do forget_worker(name) end
local slots = {}
for _, name in ipairs(redis.call('ZRANGE', P .. 'workers', 0, -1)) do
  local f = redis.call('HMGET', P .. 'worker:' .. name, 'slots', 'queues', 'state')
  -- Messages that nobody will take stay in line.
  if f[1] and f[3] ~= 'draining' and f[3] ~= 'cordoned' and f[3] ~= 'deaf' then
    for queue in string.gmatch(f[2], '[^,]+') do slots[queue] = (slots[queue] or 0) + tonumber(f[1]) end
  end
end

-- A job that waits for one worker is taken from it when that takes no jobs now, or another would start it at once.
local function is_better_elsewhere(queue, lane, name)
  if not placement().needs_place(lane) then return false end
  -- What a worker of an older version has put back in line was sent to nobody in particular.
  if not name then return true end
  local worker, best, full = placement().read_worker(name), placement().place_for(queue, lane, at)
  return not worker or not worker.takes or (best ~= nil and best ~= name and full <= 1)
end

-- BRPOP is not atomic: a message taken by a worker that died at that moment is in no list any more.
local function resend_lost(queue)
  local admitted = P .. 'admitted:' .. queue
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', admitted, '-inf', ms(at - doubt), 'LIMIT', 0, most)) do
    local f = redis.call('HMGET', job_key(id), 'state', 'placed', 'lane')
    local message = line().message_of(id, list_of(queue, f[2]))
    if f[1] ~= 'queued' then
      drop_ended(id, queue, f[1], at)
    elseif not message then
      hand_back(id, queue)
      resent = resent + 1
    elseif is_better_elsewhere(queue, f[3] or '', f[2]) then
      hand_back(id, queue)
    else
      redis.call('ZADD', admitted, ms(at), id)
    end
  end
end

-- Where nobody is left to start them, jobs hold nothing back elsewhere.
local function hand_back_bound(queue)
  for _, id in ipairs(redis.call('ZRANGE', P .. 'admitted:' .. queue, 0, -1)) do
    if is_bound(lane_of(id)) then hand_back(id, queue) end
  end
end

for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
  -- A producer of an older version lists no lanes.
  local head = redis.call('ZRANGE', ready_key(queue, ''), 0, 0, 'WITHSCORES')
  if head[2] then open_lane(queue, '', tonumber(head[2])) end
  if slots[queue] then
    redis.call('SET', P .. 'window:' .. queue, slots[queue] * 2)
    resend_lost(queue)
    if redis.call('EXISTS', P .. 'parked:' .. queue) == 1 then
      sweep_holders(queue, at)
      placement().try_places(queue, 20)
    end
  elseif redis.call('DEL', P .. 'window:' .. queue) == 1 then
    hand_back_bound(queue)
  end
  admit(queue, template, at)
end
return { moved, expired, rescued, resent, due_in_ms(at) }
