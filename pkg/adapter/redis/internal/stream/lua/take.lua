-- Returns a record and leaves an empty one in its place, so that no late save revives it.
-- KEYS[1] record, ARGV: its owner's prefix or "" for none, the prefix of all owners, window in ms
local held = redis.call('GET', KEYS[1])
if not held or held == '' then return false end
local function begins(prefix) return string.sub(held, 1, string.len(prefix)) == prefix end
if ARGV[1] == '' then
  if begins(ARGV[2]) then return 0 end
elseif not begins(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
return held
