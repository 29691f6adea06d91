#!lua flags=allow-oom
-- Sets a fact aside that no store can take: it moves, so a repeat after a lost answer finds it gone.
-- ARGV: the group of readers, its entry, the reason. Gives its entry among the dead, or '' where it was gone.
local group, entry, reason = ARGV[1], ARGV[2], ARGV[3]
local found, aside = redis.call('XRANGE', P .. 'events', entry, entry)[1], ''
if found then
  local fields = found[2]
  for _, said in ipairs({ 'reason', reason, 'entry', entry }) do fields[#fields + 1] = said end
  aside = redis.call('XADD', P .. 'events:dead', '*', unpack(fields))
end
redis.call('XACK', P .. 'events', group, entry)
redis.call('XDEL', P .. 'events', entry)
return aside
