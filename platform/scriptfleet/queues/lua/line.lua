-- The line of a queue whose jobs ask for something: whose turn it is, and what keeps it back.
-- Lanes that one look may find held back, before it is left to the next: each is then parked, and not looked at again
-- before its gate opens. And lanes that it may set aside for other workers, which are looked at each time.
local MOST_LOOKS, MOST_ASIDE = 500, 8

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

-- Takes the first job of a lane out of line.
local function take_first(queue, lane, id, group)
  count_served(queue, group)
  if is_bound(lane) then gates().hold(lane, id) end
  leave_lane(id, queue, lane)
  -- Where they have room still, the next lane may try.
  if is_bound(lane) then gates().look_for(lane, queue) end
end

-- Where a job of the lane may go: a worker, or '' for whoever comes; else nil and the gate that is closed. `who` is the
-- worker that asks, if one does: nil and nil means that another may have it.
local function way_for(queue, lane, id, who, at)
  local gate = gates().closed_gate(lane, id, at)
  if gate then return nil, gate end
  if not placement().needs_place(lane) then return '', nil end
  if who then return placement().fits(who, queue, lane) and who or nil, nil end
  local worker = placement().place_for(queue, lane, at)
  return worker, not worker and 'p' or nil
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
      if way ~= '' then placement().put_placed(id, lane, way) end
      found = id
      break
    elseif gate then
      gates().park(queue, lane, gate, at)
    else
      unlist(queue, lane)
      aside[#aside + 1] = lane
      if #aside == MOST_ASIDE then break end
    end
  end
  for _, lane in ipairs(aside) do
    local head = redis.call('ZRANGE', ready_key(queue, lane), 0, 0, 'WITHSCORES')
    open_lane(queue, lane, tonumber(head[2]))
  end
  return found, way
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

return { pick = pick, way_for = way_for, message_of = message_of }
