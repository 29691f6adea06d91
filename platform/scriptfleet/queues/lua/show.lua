#!lua
-- Adds pieces of output to the live streams of their runs, and drops the oldest while a stream weighs too much.
-- ARGV: most weight of a stream, life ms, then for each piece: run, stream, content, offset.
-- The offset is where the piece begins in the stream as it is kept, or empty: followers go on in the store by it.
-- An entry's field n is the weight of all that was written before it: the first that is kept tells what was dropped.
-- An entry weighs a little more than its bytes, so that very many short ones are bounded too.
local most, life, ENTRY_WEIGHT = tonumber(ARGV[1]), ARGV[2], 64
for at = 3, #ARGV, 4 do
  local key, stream, content = P .. 'output:' .. ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local written, last = 0, redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  -- The first fields of an entry are always s, b, n.
  if last then written = tonumber(last[2][6]) + #last[2][4] + ENTRY_WEIGHT end
  local newest = redis.call('XADD', key, '*', 's', stream, 'b', content, 'n', ms(written), 'o', ARGV[at + 3])
  local weight = written + #content + ENTRY_WEIGHT
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  while first[1] ~= newest and weight - tonumber(first[2][6]) > most do
    redis.call('XDEL', key, first[1])
    first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  end
  redis.call('PEXPIRE', key, life)
end
