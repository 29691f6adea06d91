#!lua flags=no-writes
-- How many delayed jobs go to each queue. ARGV: most jobs to look at: of more, a random choice stands for all.
-- Gives for each queue that has some: its name, how many.
local most, total, counts, answer = tonumber(ARGV[1]), redis.call('ZCARD', P .. 'delayed'), {}, {}
local ids = total <= most and redis.call('ZRANGE', P .. 'delayed', 0, -1)
  or redis.call('ZRANDMEMBER', P .. 'delayed', most)
for _, id in ipairs(ids) do
  local queue = redis.call('HGET', job_key(id), 'queue')
  if queue then counts[queue] = (counts[queue] or 0) + 1 end
end
for queue, count in pairs(counts) do
  answer[#answer + 1] = queue
  answer[#answer + 1] = math.floor(count * total / #ids + 0.5)
end
return answer
