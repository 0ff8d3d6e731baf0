-- Leaves an empty record in the place of an owner's, also of one that is not there yet.
-- KEYS[1] record, ARGV: its owner's prefix, window in ms
local held = redis.call('GET', KEYS[1])
if held and held ~= '' and string.sub(held, 1, string.len(ARGV[1])) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], '', 'PX', ARGV[2])
return 1
