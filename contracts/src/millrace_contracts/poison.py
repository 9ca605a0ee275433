"""Records that came back from the dead-letter queue: how the ledger takes them back, each once.

The script works on keys of `millrace_contracts.ledger`.
"""

from typing import Final

REDRIVEN: Final = """
-- KEYS: job, failures, poison, parts.
-- ARGV: code, shard, positions that succeeded now as JSON, positions that failed for another reason now as JSON, more
--       parts as JSON (or '').
-- Answers how many of the positions count: each does once, when it stops being poison.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local outcome, stays, succeeded, failed = {}, {}, 0, 0
for _, position in ipairs(cjson.decode(ARGV[3])) do outcome[position] = 'succeeded' end
for _, position in ipairs(cjson.decode(ARGV[4])) do outcome[position] = 'failed' end
for _, position in ipairs(cjson.decode(redis.call('HGET', KEYS[3], ARGV[2]) or '[]')) do
  if outcome[position] == 'succeeded' then
    succeeded = succeeded + 1
  elseif outcome[position] == 'failed' then
    failed = failed + 1
  else
    stays[#stays + 1] = position
  end
end
if succeeded + failed == 0 then return 0 end
if #stays > 0 then
  redis.call('HSET', KEYS[3], ARGV[2], cjson.encode(stays))
else
  redis.call('HDEL', KEYS[3], ARGV[2])
end
redis.call('HINCRBY', KEYS[1], 'succeeded', succeeded)
redis.call('HINCRBY', KEYS[1], 'failed', -succeeded)
redis.call('HINCRBY', KEYS[1], 'dead_lettered', -succeeded - failed)
redis.call('HINCRBY', KEYS[1], 'redriven', succeeded + failed)
redis.call('HINCRBY', KEYS[2], ARGV[1] .. ':count', -succeeded)
if ARGV[5] ~= '' then
  local parts = cjson.decode(redis.call('HGET', KEYS[4], ARGV[2]) or '[]')
  for _, part in ipairs(cjson.decode(ARGV[5])) do parts[#parts + 1] = part end
  redis.call('HSET', KEYS[4], ARGV[2], cjson.encode(parts))
end
return succeeded + failed
"""
"""Those that succeeded move from the failed to the succeeded; all of them leave the dead-lettered.

Whoever is told that some count publishes finalize, which writes the manifest anew.
"""
