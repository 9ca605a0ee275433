"""The atomic steps of `store` as Lua."""

from typing import Final

MISSING: Final = -1
OWNED: Final = 0
WRITTEN: Final = 1
TAKEN_OVER: Final = 2

WRITE: Final = """
local owner = redis.call('HGET', KEYS[1], 'origin')
if ARGV[8] == '1' and not owner then return -1 end
if owner == 'values' and ARGV[3] == 'user' then return 0 end
local is_same = redis.call('HGET', KEYS[1], 'timing') == ARGV[4]
redis.call('HSET', KEYS[1], 'entry', ARGV[1], 'definition', ARGV[2], 'origin', ARGV[3], 'timing', ARGV[4])
redis.call('SADD', KEYS[2], ARGV[7])
if not is_same then
  redis.call('HSET', KEYS[1], 'after', ARGV[5])
  redis.call('HDEL', KEYS[1], 'sending')
end
if ARGV[6] == '' then
  redis.call('ZREM', KEYS[3], KEYS[1])
elseif is_same then
  redis.call('ZADD', KEYS[3], 'NX', ARGV[6], KEYS[1])
else
  redis.call('ZADD', KEYS[3], ARGV[6], KEYS[1])
end
if owner == 'user' and ARGV[3] == 'values' then return 2 end
return 1
"""
"""KEYS entry, names, schedule; ARGV entry, definition, origin, timing, now, next (empty: off), name, must exist."""

REMOVE: Final = """
local owner = redis.call('HGET', KEYS[1], 'origin')
if owner and owner ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], KEYS[1])
return owner and 1 or -1
"""
"""KEYS entry, names, schedule; ARGV name, whose entry it must be."""

CLAIM: Final = """
if redis.call('HGET', KEYS[1], 'after') ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[1], 'sending') or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'sending', ARGV[3])
return 1
"""
"""KEYS entry; ARGV after and sending as they were read, the token of the one who claims."""

FINISH: Final = """
if redis.call('HGET', KEYS[1], 'sending') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'after', ARGV[2], 'last_run_at', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'total_runs', 1)
redis.call('HDEL', KEYS[1], 'sending')
redis.call('ZADD', KEYS[2], 'XX', ARGV[3], ARGV[4])
return 1
"""
"""KEYS entry, schedule; ARGV token, tick, next, key of the entry."""

GIVE_BACK: Final = """
if redis.call('HGET', KEYS[1], 'sending') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'sending')
return 1
"""
"""KEYS entry; ARGV token."""
