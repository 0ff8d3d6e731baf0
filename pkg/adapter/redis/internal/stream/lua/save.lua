-- Keeps a record unless it belongs to somebody else by now.
-- KEYS[1] record, ARGV: value, its owner's prefix, "1" for an owner's first, window in ms
local held = redis.call('GET', KEYS[1])
if held then
  if held == '' then
    if ARGV[3] ~= '1' then return 0 end
  elseif string.sub(held, 1, string.len(ARGV[2])) ~= ARGV[2] then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
return 1
