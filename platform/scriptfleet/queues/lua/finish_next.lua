#!lua flags=allow-oom
-- Ends a run and takes the next job for its slot: what both need is made once. ARGV: what finish takes, then what next
-- takes. Gives {what finish gives, what next gives}, and as a third why no job could be taken, where that failed.
local ended = finish(ARGV)
-- The run has ended, whatever keeps another from being claimed.
local is_whole, taken = pcall(take_next, { select(14, unpack(ARGV)) })
if is_whole then return { ended, taken } end
return { ended, { 'none' }, type(taken) == 'table' and taken.err or tostring(taken) }
