-- Returns a record and leaves an empty one in its place, so that no late save revives it.
-- KEYS[1] record, ARGV: its owner's prefix, the prefix of all owners if a record of none
-- will do or else "", window in ms
local held = redis.call('GET', KEYS[1])
if not held or held == '' then return false end
local function begins(prefix) return string.sub(held, 1, string.len(prefix)) == prefix end
if not begins(ARGV[1]) and (ARGV[2] == '' or begins(ARGV[2])) then return 0 end
redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
return held
