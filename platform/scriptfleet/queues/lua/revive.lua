#!lua
-- Puts facts that no store could take back among those to be stored. ARGV: entries of the stream of the dead.
-- Gives for each: its entry in the stream of facts now, or '' where there was none.
local answer = {}
for _, entry in ipairs(ARGV) do
  local found = redis.call('XRANGE', P .. 'events:dead', entry, entry)[1]
  answer[#answer + 1] = ''
  if found then
    local fields, kept = found[2], {}
    for n = 1, #fields, 2 do
      -- What was noted when it was set aside is no part of the fact.
      if fields[n] ~= 'reason' and fields[n] ~= 'entry' then
        kept[#kept + 1] = fields[n]
        kept[#kept + 1] = fields[n + 1]
      end
    end
    answer[#answer] = redis.call('XADD', P .. 'events', '*', unpack(kept))
    redis.call('XDEL', P .. 'events:dead', entry)
  end
end
return answer
