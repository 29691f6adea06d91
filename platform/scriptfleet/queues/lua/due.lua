#!lua flags=allow-oom
-- Opens the rates whose moment has come, between two ticks. ARGV: message template. Gives in how many ms the next one is
-- due, or -1 when none is.
local template, at = ARGV[1], now_ms()
gates().open_due(at)
local queue = next(touched)
if queue then admit(queue, template, at) end
return due_in_ms(at)
