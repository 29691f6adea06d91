#!lua flags=no-writes
-- Since when the oldest job of each queue waits, at a cost that does not grow with what waits. ARGV: most jobs to look
-- at of each list: those that go next. Gives the server's clock in ms, then for each queue: its name, since when in ms or
-- '0' where none waits.
local most, answer = tonumber(ARGV[1]), { ms(now_ms()) }

local function earlier(one, other)
  if not one or (other and other < one) then return other end
  return one
end

local function ready_at(id)
  local found = redis.call('HGET', job_key(id), 'ready_at')
  return found and tonumber(found) or nil
end

local function oldest_of(key)
  local oldest
  for _, id in ipairs(redis.call('ZRANGE', key, 0, most - 1)) do
    oldest = earlier(oldest, ready_at(id))
  end
  return oldest
end

-- In a lane the first is the oldest but for priorities.
local function oldest_in_lanes(queue)
  local oldest
  for _, lane in ipairs(redis.call('SRANDMEMBER', P .. 'lanes:' .. queue, most)) do
    local first = redis.call('ZRANGE', P .. 'ready:' .. queue .. ':' .. lane, 0, 0)[1]
    if first then oldest = earlier(oldest, ready_at(first)) end
  end
  return oldest
end

for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
  local oldest = earlier(oldest_of(P .. 'ready:' .. queue), oldest_of(P .. 'admitted:' .. queue))
  oldest = earlier(oldest, oldest_in_lanes(queue))
  answer[#answer + 1] = queue
  answer[#answer + 1] = ms(oldest or 0)
end
return answer
