-- What is held by jobs that neither run nor wait with Celery: the scripts of an older version, which know of no gates, end
-- runs and give nothing back. Some holders are looked at each time, where lanes wait for what they hold.
local MOST_GATES, MOST_HOLDERS = 8, 16

local function is_holder(id)
  local f = redis.call('HMGET', job_key(id), 'state', 'queue')
  if f[1] == 'running' then return true end
  return f[1] == 'queued' and redis.call('ZSCORE', P .. 'admitted:' .. f[2], id) ~= false
end

local function holders_of(gate)
  if string.sub(gate, 1, 1) == 'c' then return redis.call('SRANDMEMBER', P .. 'held:' .. gate, MOST_HOLDERS) end
  local found, unstarted = redis.call('ZRANDMEMBER', P .. 'held:' .. gate, MOST_HOLDERS, 'WITHSCORES'), {}
  for n = 1, #found, 2 do
    if found[n + 1] == 'inf' then unstarted[#unstarted + 1] = found[n] end
  end
  return unstarted
end

local function sweep_place(queue)
  local worker = redis.call('ZRANDMEMBER', P .. 'workers')
  if not worker then return end
  for _, id in ipairs(redis.call('ZRANDMEMBER', P .. 'placed:' .. worker, MOST_HOLDERS)) do
    if not is_holder(id) then placement().leave_place(id, queue, worker) end
  end
end

local function sweep_holders(queue, at)
  local parked = redis.call('HRANDFIELD', P .. 'parked:' .. queue, MOST_GATES, 'WITHVALUES')
  for n = 2, #parked, 2 do
    local gate = parked[n]
    if gate == 'p' then
      sweep_place(queue)
    else
      for _, id in ipairs(holders_of(gate)) do
        if not is_holder(id) then gates().let_go(gate, id, at) end
      end
    end
  end
end
