-- What all scripts share. KEYS[1] is the prefix of every key (see queues/keys.py); which other parts stand before a script,
-- queues/scripts.py says. Those that return a table are made when first called for, as in gates().release(…).
-- Fields of job:<id>: spec sig kind name argsrepr queue prio state rev submitted ready_at attempt losses
--   claim worker started ended cancel record reported expires idem idem_hash reason first_start
--   blob (sha256 of its bytes), ooms (attempts that ran out of memory and were followed by another),
--   unfit (why it cannot run again; see restore.lua), past (claims that the server saw the end of, each between spaces),
--   marks (JSON list: what it is found by while it lives, each the end of a marked: key)
--   came (when it came into line, which is its place there),
--   lane and bounds (see lanes.lua and gates.lua; neither where nothing is asked), placed (see placement.lua)
local P = KEYS[1]
-- As LIFETIME_SECONDS in queues/blobs.py.
local BLOB_LIFE_MS = 7 * 24 * 3600 * 1000
local LOST_TOO_OFTEN = 'its workers were lost too often'
local SCRIPT_GONE = 'its script is no longer with the broker'
local FINAL = { succeeded = 1, failed = 1, timed_out = 1, out_of_memory = 1, cancelled = 1, expired = 1,
  rejected = 1, lost = 1, skipped = 1 }
-- Ends that nobody wished for.
local DEAD = { failed = 1, timed_out = 1, out_of_memory = 1, lost = 1, rejected = 1 }

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Whole milliseconds as text: Lua's own would print 1.7e+12.
local function ms(n) return string.format('%.0f', n) end

local function job_key(id) return P .. 'job:' .. id end

local function emit(kind, id, rev, at, data)
  redis.call('XADD', P .. 'events', '*', 'v', '1', 't', kind, 'j', id, 'r', rev, 'at', ms(at), 'd', data)
end
