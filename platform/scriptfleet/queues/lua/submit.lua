#!lua
-- Writes any number of jobs, each whole or not at all; a job whose id or idempotency key is known is left as it is.
-- ARGV: message template, count, then for each job what job_arguments in writing.lua lists.
-- Gives for each job: id it has now, and 'new', 'same', 'conflict', or 'blob missing': nothing was written of a job whose
-- bytes are not there. Or how full the server is and 'full': from FULL_PERCENT of its memory limit on no new job is
-- written, so that those that are there can end.
local template, at = ARGV[1], now_ms()
local answer, touched, FULL_PERCENT = {}, {}, 90

local function known(id, key, hash)
  if key ~= '' then
    local held = redis.call('HMGET', P .. 'idem:' .. key, 'id', 'hash')
    if held[1] then return held[1], held[2] == hash and 'same' or 'conflict' end
  end
  if redis.call('EXISTS', job_key(id)) == 1 then return id, 'same' end
end

for n = 0, tonumber(ARGV[2]) - 1 do
  local a = job_arguments(3 + n * JOB_ARGUMENTS)
  local held, how = known(a[1], a[11], a[12])
  if not held and fullness() >= FULL_PERCENT then held, how = fullness(), 'full' end
  if not held and lacks_bytes(a) then held, how = a[1], 'blob missing' end
  if not held then
    write_job(a, 1, 0, at)
    local state = place_job(a, at)
    if state == 'queued' then touched[a[7]] = true end
    -- With all that it takes to write the job again, should this server be wiped; see restore.lua.
    local due = state == 'delayed' and tonumber(a[9]) or nil
    emit('submitted', a[1], 1, at, cjson.encode({ spec = a[2], sig = a[3], state = state, due = due }))
    held, how = a[1], 'new'
  end
  answer[#answer + 1] = tostring(held)
  answer[#answer + 1] = how
end
for queue in pairs(touched) do admit(queue, template, at) end
return answer
