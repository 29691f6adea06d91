-- How much of its memory limit the server uses, percent; 0 without a limit. Asked once a second at most: a submit is not
-- to wait for statistics.
local function fullness()
  local known = redis.call('GET', P .. 'fullness')
  if known then return tonumber(known) end
  local said = redis.call('INFO', 'memory')
  local used, most = string.match(said, 'used_memory:(%d+)'), tonumber(string.match(said, 'maxmemory:(%d+)') or 0)
  local share = most > 0 and math.min(999, math.floor(100 * tonumber(used) / most)) or 0
  redis.call('SET', P .. 'fullness', share, 'PX', 1000)
  return share
end
