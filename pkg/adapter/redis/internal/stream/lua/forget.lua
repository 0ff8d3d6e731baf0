-- Empties a record that still is its owner's.
-- KEYS[1] record, ARGV: its owner's prefix, window in ms
local held = redis.call('GET', KEYS[1])
if held and held ~= '' and string.sub(held, 1, string.len(ARGV[1])) == ARGV[1] then
  redis.call('SET', KEYS[1], '', 'PX', ARGV[2])
end
return 1
