#!lua flags=no-writes
-- Finds what no worker sees to any more. ARGV: how long it may be late in ms, age of a message to doubt in ms, most of
-- each kind. Gives for each job found: why, its id.
local grace, doubt, most, at, answer = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), now_ms(), {}

local function found(why, id)
  answer[#answer + 1] = why
  answer[#answer + 1] = id
end

local function late(name, state, why)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. name, '-inf', ms(at - grace), 'LIMIT', 0, most)) do
    if redis.call('HGET', job_key(id), 'state') == state then found(why, id) end
  end
end

-- As the tick does before it sends a message again.
local function without_message(queue)
  local last = ms(at - grace - doubt)
  local old = redis.call('ZRANGEBYSCORE', P .. 'admitted:' .. queue, '-inf', last, 'LIMIT', 0, most)
  for _, id in ipairs(old) do
    local f = redis.call('HMGET', job_key(id), 'state', 'placed')
    if f[1] == 'queued' and not line().message_of(id, list_of(queue, f[2])) then found('message_lost', id) end
  end
end

late('leases', 'running', 'lease_over')
late('delayed', 'delayed', 'overdue')
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do without_message(queue) end
return answer
