"""What changes a job ledger: Lua scripts, each one atomic step, on keys and fields of `millrace_contracts.ledger`."""

from typing import Final

SUBMIT: Final = """
-- KEYS: job, jobs.  ARGV: uid, namespace, name, now, epoch (may be left out).  Answers 1 if the ledger is new, else 0.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if ARGV[5] then redis.call('HSET', KEYS[1], 'epoch', ARGV[5], 'born', ARGV[5]) end
redis.call('HSET', KEYS[1], 'namespace', ARGV[2], 'name', ARGV[3], 'state', 'submitted', 'submitted_at', ARGV[4])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. '/' .. ARGV[3])
return 1
"""
"""Make a job's ledger, once. `jobs` is outside the hash tag: on Redis Cluster the operator runs its HSET apart.

A ledger that is made anew, because Redis lost the first, begins in an epoch above all that it can have had: the time in
seconds. So what was published before is stale, and a shard that was at work meanwhile does not count: the input may
have been cut in another way since.
"""

BEGIN_DISPATCH: Final = """
-- KEYS: job.  ARGV: total, shards_total, output_uri, now, window, max_failed_records, max_failed_percent, min_records
-- (empty: no limit).  Answers the epoch in which shards are to be published, or -1: that is done, or not wanted.
local f = redis.call('HMGET', KEYS[1], 'state', 'stop_reason', 'suspended', 'epoch', 'total')
if not f[1] or f[2] or f[3] or (f[1] ~= 'submitted' and f[1] ~= 'dispatching') then return -1 end
redis.call('HSET', KEYS[1], 'state', 'dispatching', 'waiting_for', '', 'shards_total', ARGV[2], 'output_uri', ARGV[3],
  'last_progress_at', ARGV[4], 'window', ARGV[5], 'max_failed_records', ARGV[6], 'max_failed_percent', ARGV[7],
  'min_records', ARGV[8])
-- What shards found since may have made the total smaller than planned.
if not f[5] then redis.call('HSET', KEYS[1], 'total', ARGV[1]) end
return tonumber(f[4] or '0')
"""

_GIVE_OUT: Final = """
local function give_out(job, done, feeds, who, count)
  local f = redis.call('HMGET', job, 'shards_dispatched', 'shards_total', 'stop_reason', 'suspended', 'epoch')
  if not f[2] or f[3] or f[4] or count == 0 then return {} end
  local next, total, given = tonumber(f[1] or '0'), tonumber(f[2]), {}
  while next < total and #given < count do
    if redis.call('GETBIT', done, next) == 0 then given[#given + 1] = next end
    next = next + 1
  end
  redis.call('HSET', job, 'shards_dispatched', next)
  if #given > 0 then
    redis.call('HSET', feeds, who, cjson.encode({epoch = tonumber(f[5] or '0'), shards = given}))
  end
  return given
end
"""

GIVE_OUT: Final = (
    _GIVE_OUT
    + """
-- KEYS: job, done, feeds.  ARGV: count, epoch.  Answers indices of shards that the plan is to publish now: what was
-- given to it and not confirmed, or else the next `count` that are not done; none to a plan of an earlier epoch.
local f = redis.call('HMGET', KEYS[1], 'state', 'epoch')
if f[1] ~= 'dispatching' or tonumber(f[2] or '0') ~= tonumber(ARGV[2]) then return {} end
local known = redis.call('HGET', KEYS[3], 'plan')
if known then return cjson.decode(known).shards end
return give_out(KEYS[1], KEYS[2], KEYS[3], 'plan', tonumber(ARGV[1]))
"""
)
"""When all of them are confirmed, END_DISPATCH."""

END_DISPATCH: Final = """
-- KEYS: job, feeds.  ARGV: epoch.  Answers 1 if the state changed.
local f = redis.call('HMGET', KEYS[1], 'state', 'epoch')
if f[1] ~= 'dispatching' or tonumber(f[2] or '0') ~= tonumber(ARGV[1]) then return 0 end
redis.call('HDEL', KEYS[2], 'plan')
redis.call('HSET', KEYS[1], 'state', 'dispatched')
return 1
"""

_GIVE_BACK: Final = """
local function give_back(job, inflight, shard)
  local records = redis.call('HGET', inflight, shard)
  if records then
    redis.call('HDEL', inflight, shard)
    redis.call('HINCRBY', job, 'in_flight', -tonumber(records))
  end
end
"""

BEGIN_SHARD: Final = (
    _GIVE_BACK
    + """
-- KEYS: job, done, inflight, starts.  ARGV: shard, records, now, max_starts, epoch.
-- Answers a BeginShard value and how often the shard was begun without an end, this time included.
local f = redis.call('HMGET', KEYS[1], 'shards_done', 'shards_total', 'state', 'stop_reason', 'suspended', 'epoch')
if not f[3] then return {'stopped', 0} end
if redis.call('GETBIT', KEYS[2], ARGV[1]) == 1 then
  if f[1] == f[2] and f[3] ~= 'finalized' then return {'done-all', 0} end
  return {'done', 0}
end
if f[4] then return {'stopped', 0} end
if tonumber(ARGV[5]) < tonumber(f[6] or '0') then return {'stale', 0} end
if f[5] then
  -- Its worker died, or it would not have come again.
  give_back(KEYS[1], KEYS[3], ARGV[1])
  return {'suspended', 0}
end
if redis.call('HSETNX', KEYS[3], ARGV[1], ARGV[2]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'in_flight', ARGV[2])
end
redis.call('HSETNX', KEYS[1], 'first_shard_at', ARGV[3])
local starts = redis.call('HINCRBY', KEYS[4], ARGV[1], 1)
if starts > tonumber(ARGV[4]) then return {'poison', starts} end
return {'run', starts}
"""
)

RELEASE_SHARD: Final = (
    _GIVE_BACK
    + """
-- KEYS: job, inflight, starts, suspects.  ARGV: shard, waiting_for.  A shard that is given back is pending again, and
-- what was at work then did not end its worker.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
give_back(KEYS[1], KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HSET', KEYS[1], 'waiting_for', ARGV[2])
return 1
"""
)

FINISH_SHARD: Final = (
    _GIVE_OUT
    + _GIVE_BACK
    + """
-- KEYS: job, done, inflight, starts, failures, feeds, suspects, parts.
-- ARGV: shard, succeeded, failed, retried, now, model_version, failures as JSON {code: {count, message, key}},
--       planned records, cached, ignored, parts as JSON (or ''), dead-lettered, epoch of the task (or '').
-- Answers {0 if the shard was counted before or the job is gone, 1 if it counts, 2 if it counts and was the last;
--          index of the next shard, which this one is to publish, or -1; epoch of that publication}.
local job, shard = KEYS[1], ARGV[1]
local state, born = unpack(redis.call('HMGET', job, 'state', 'born'))
if not state or (born and ARGV[13] ~= '' and tonumber(ARGV[13]) < tonumber(born)) then return {0, -1, 0} end
if redis.call('SETBIT', KEYS[2], shard, 1) == 1 then
  -- What it wrote replaced what the first wrote.
  if ARGV[11] ~= '' and state ~= 'finalized' then redis.call('HSET', KEYS[8], shard, ARGV[11]) end
  return {0, -1, 0}
end
give_back(job, KEYS[3], shard)
redis.call('HDEL', KEYS[4], shard)
redis.call('HDEL', KEYS[7], shard)
local succeeded, failed = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('HINCRBY', job, 'succeeded', succeeded)
redis.call('HINCRBY', job, 'failed', failed)
redis.call('HINCRBY', job, 'retried', ARGV[4])
redis.call('HINCRBY', job, 'cached', ARGV[9])
redis.call('HINCRBY', job, 'ignored', ARGV[10])
redis.call('HINCRBY', job, 'dead_lettered', ARGV[12])
if succeeded + failed ~= tonumber(ARGV[8]) then
  redis.call('HINCRBY', job, 'total', succeeded + failed - tonumber(ARGV[8]))
end
if ARGV[11] ~= '' then redis.call('HSET', KEYS[8], shard, ARGV[11]) end
redis.call('HSET', job, 'last_progress_at', ARGV[5], 'model_version', ARGV[6], 'waiting_for', '')
for code, failure in pairs(cjson.decode(ARGV[7])) do
  redis.call('HINCRBY', KEYS[5], code .. ':count', failure.count)
  redis.call('HSETNX', KEYS[5], code .. ':message', failure.message)
  redis.call('HSETNX', KEYS[5], code .. ':key', failure.key)
end
local f = redis.call('HMGET', job, 'succeeded', 'failed', 'ignored', 'max_failed_records', 'max_failed_percent',
  'min_records')
local counted, bad = tonumber(f[1]) + tonumber(f[2]), tonumber(f[2]) - tonumber(f[3] or '0')
local most, percent = tonumber(f[4] or ''), tonumber(f[5] or '')
local why = nil
if most and bad > most then
  why = bad .. ' records failed, and failurePolicy.maxFailedRecords is ' .. most
elseif percent and counted >= tonumber(f[6] or '1') and bad * 100 > percent * counted then
  why = bad .. ' of ' .. counted .. ' records failed, and failurePolicy.maxFailedPercent is ' .. percent
end
if why and redis.call('HSETNX', job, 'stop_reason', 'FailureBudgetExceeded') == 1 then
  redis.call('HSET', job, 'stop_message', why)
end
if redis.call('HINCRBY', job, 'shards_done', 1) == tonumber(redis.call('HGET', job, 'shards_total')) then
  redis.call('HSET', job, 'last_shard_at', ARGV[5])
  return {2, -1, 0}
end
f = redis.call('HMGET', job, 'shards_dispatched', 'epoch')
-- One that was not given out in this epoch, but was at work since the one before, has no place in the window to leave.
if tonumber(shard) >= tonumber(f[1] or '0') then return {1, -1, 0} end
local given = give_out(job, KEYS[2], KEYS[6], shard, 1)
return {1, given[1] or -1, tonumber(f[2] or '0')}
"""
)

WAIT: Final = """
-- KEYS: job.  ARGV: waiting_for.  Answers 0 if the job is gone.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'waiting_for', ARGV[1])
return 1
"""
"""Say why the plan or the manifest has to wait; shards say so when they are given back."""

SUSPEND: Final = """
-- KEYS: job.  Answers 1 if the job is suspended now, 0 if it was, has ended or is gone.
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'finalized' then return 0 end
return redis.call('HSETNX', KEYS[1], 'suspended', '1')
"""

DISPATCH_ANEW: Final = """
-- KEYS: job, feeds.  Answers the new epoch, or -1 if the job has ended or is gone.
-- Ends a suspension. All that is not done is published anew by the next plan; what is out already is forgotten.
local f = redis.call('HMGET', KEYS[1], 'state', 'stop_reason')
if not f[1] or f[1] == 'finalized' or f[2] then return -1 end
redis.call('HDEL', KEYS[1], 'suspended', 'plan_published_at', 'plan_publications')
redis.call('DEL', KEYS[2])
if f[1] ~= 'submitted' then redis.call('HSET', KEYS[1], 'state', 'dispatching', 'shards_dispatched', 0) end
return redis.call('HINCRBY', KEYS[1], 'epoch', 1)
"""
"""Run by the operator: for a resume, and for a job whose messages got lost."""

FINALIZED: Final = """
-- KEYS: job.  ARGV: manifest_uri, now, redriven records that the manifest knows.
-- Answers 1 if the job is finalized now, 0 if it was before or is gone.
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 0 end
redis.call('HSET', KEYS[1], 'manifest_redriven', ARGV[3])
if state == 'finalized' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'finalized', 'manifest_uri', ARGV[1], 'finalized_at', ARGV[2], 'waiting_for', '')
return 1
"""

STOP: Final = """
-- KEYS: job.  ARGV: reason, message.  Answers 1 if this reason stands, 0 if the job had ended, was stopped or is gone.
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'finalized' then return 0 end
if redis.call('HSETNX', KEYS[1], 'stop_reason', ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'stop_message', ARGV[2])
return 1
"""
