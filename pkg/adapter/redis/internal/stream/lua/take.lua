-- Returns a record and leaves an empty one in its place, so that no late save revives it.
-- KEYS[1] record, ARGV: window in ms
local held = redis.call('GET', KEYS[1])
if not held or held == '' then return false end
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
return held
