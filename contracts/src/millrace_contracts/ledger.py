"""The job ledger in Redis: which shards are done and how many records succeeded, each counted once.

All keys of a job share a hash tag, so its scripts also run on Redis Cluster. Times are seconds since the epoch as text.
The operator creates a job's ledger before it publishes the plan and deletes it with the job, so a task that finds no
ledger belongs to a job that is gone, and does nothing.

Invariant, at every moment: succeeded + failed + in flight + pending = total, with pending as the remainder.
"""

from typing import Final

JOBS_KEY: Final = "millrace:jobs"
"""Hash: uid -> "namespace/name" of every job that has a ledger; finds those whose job was deleted unwatched."""


def job_key(uid: str) -> str:
    """Hash of the job's counters and times; the fields are listed in `Field`."""
    return f"millrace:{{{uid}}}:job"


def done_key(uid: str) -> str:
    """Bitmap: bit i is set once shard i is counted."""
    return f"millrace:{{{uid}}}:done"


def in_flight_key(uid: str) -> str:
    """Hash: shard index -> records, for shards that a worker has begun and not finished."""
    return f"millrace:{{{uid}}}:inflight"


def starts_key(uid: str) -> str:
    """Hash: shard index -> times that a worker began it and neither finished nor gave it back."""
    return f"millrace:{{{uid}}}:starts"


def failures_key(uid: str) -> str:
    """Hash: "<code>:count", "<code>:message" and "<code>:key" (a sample) for each RecordError code seen."""
    return f"millrace:{{{uid}}}:failures"


def ledger_keys(uid: str) -> tuple[str, ...]:
    """Every key that the ledger of a job may have, without its results."""
    return (job_key(uid), done_key(uid), in_flight_key(uid), starts_key(uid), failures_key(uid))


class Field:
    """Fields of the job hash. Absent means not yet known."""

    NAMESPACE: Final = "namespace"
    NAME: Final = "name"
    STATE: Final = "state"
    SUBMITTED_AT: Final = "submitted_at"
    PLAN_PUBLISHED_AT: Final = "plan_published_at"
    PLAN_PUBLICATIONS: Final = "plan_publications"
    TOTAL: Final = "total"
    SHARDS_TOTAL: Final = "shards_total"
    SHARDS_DONE: Final = "shards_done"
    SUCCEEDED: Final = "succeeded"
    FAILED: Final = "failed"
    RETRIED: Final = "retried"
    IN_FLIGHT: Final = "in_flight"
    FIRST_SHARD_AT: Final = "first_shard_at"
    LAST_PROGRESS_AT: Final = "last_progress_at"
    LAST_SHARD_AT: Final = "last_shard_at"
    FINALIZED_AT: Final = "finalized_at"
    OUTPUT_URI: Final = "output_uri"
    MANIFEST_URI: Final = "manifest_uri"
    MODEL_VERSION: Final = "model_version"
    WAITING_FOR: Final = "waiting_for"
    """Why shards do not get on now, in words ("Triton at ... is unreachable"); empty when they do."""
    STOP_REASON: Final = "stop_reason"
    """A JobFailure. Once set, shards do nothing more; the first reason stays."""
    STOP_MESSAGE: Final = "stop_message"


class State:
    """Values of `Field.STATE`, in their order."""

    SUBMITTED: Final = "submitted"
    """The operator made the ledger; no plan has run."""
    DISPATCHING: Final = "dispatching"
    """The totals are known; shards are being published."""
    DISPATCHED: Final = "dispatched"
    """Every shard was confirmed by the broker."""
    FINALIZED: Final = "finalized"
    """The manifest is written."""


class BeginShard:
    """What BEGIN_SHARD answers."""

    RUN: Final = "run"
    DONE: Final = "done"
    """Counted already; nothing to do."""
    DONE_ALL: Final = "done-all"
    """Counted already, all others too, but the job is not finalized: publish finalize (again)."""
    STOPPED: Final = "stopped"
    """The job was stopped or is gone."""
    POISON: Final = "poison"
    """The shard was begun too often without an end: fail its records."""


SUBMIT: Final = """
-- KEYS: job, jobs.  ARGV: uid, namespace, name, now.  Answers 1 if the ledger is new, else 0.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'namespace', ARGV[2], 'name', ARGV[3], 'state', 'submitted', 'submitted_at', ARGV[4])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. '/' .. ARGV[3])
return 1
"""
"""Make a job's ledger, once. `jobs` is outside the hash tag: on Redis Cluster the operator runs its HSET apart."""

BEGIN_DISPATCH: Final = """
-- KEYS: job.  ARGV: total, shards_total, output_uri, now.
-- Answers 1 if shards are to be published, 0 if that is done, the job was stopped, or it is gone.
local state = redis.call('HGET', KEYS[1], 'state')
if not state or redis.call('HEXISTS', KEYS[1], 'stop_reason') == 1 then return 0 end
if state ~= 'submitted' and state ~= 'dispatching' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'dispatching', 'total', ARGV[1], 'shards_total', ARGV[2], 'output_uri', ARGV[3],
  'last_progress_at', ARGV[4])
return 1
"""

END_DISPATCH: Final = """
-- KEYS: job.  Answers 1 if the state changed.
if redis.call('HGET', KEYS[1], 'state') ~= 'dispatching' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'dispatched')
return 1
"""

BEGIN_SHARD: Final = """
-- KEYS: job, done, inflight, starts.  ARGV: shard, records, now, max_starts.  Answers a BeginShard value.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'stopped' end
if redis.call('GETBIT', KEYS[2], ARGV[1]) == 1 then
  local f = redis.call('HMGET', KEYS[1], 'shards_done', 'shards_total', 'state')
  if f[1] == f[2] and f[3] ~= 'finalized' then return 'done-all' end
  return 'done'
end
if redis.call('HEXISTS', KEYS[1], 'stop_reason') == 1 then return 'stopped' end
if redis.call('HSETNX', KEYS[3], ARGV[1], ARGV[2]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'in_flight', ARGV[2])
end
redis.call('HSETNX', KEYS[1], 'first_shard_at', ARGV[3])
if redis.call('HINCRBY', KEYS[4], ARGV[1], 1) > tonumber(ARGV[4]) then return 'poison' end
return 'run'
"""

RELEASE_SHARD: Final = """
-- KEYS: job, inflight, starts.  ARGV: shard, waiting_for.  A shard that is given back is pending again.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local records = redis.call('HGET', KEYS[2], ARGV[1])
if records then
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'in_flight', -tonumber(records))
end
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[1], 'waiting_for', ARGV[2])
return 1
"""

FINISH_SHARD: Final = """
-- KEYS: job, done, inflight, starts, failures.
-- ARGV: shard, succeeded, failed, retried, now, model_version, failures as JSON {code: {count, message, key}}.
-- Answers 0 if the shard was counted before or the job is gone, 1 if it counts, 2 if it counts and was the last.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('SETBIT', KEYS[2], ARGV[1], 1) == 1 then return 0 end
local records = redis.call('HGET', KEYS[3], ARGV[1])
if records then
  redis.call('HDEL', KEYS[3], ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'in_flight', -tonumber(records))
end
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'succeeded', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'failed', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'retried', ARGV[4])
redis.call('HSET', KEYS[1], 'last_progress_at', ARGV[5], 'model_version', ARGV[6], 'waiting_for', '')
for code, failure in pairs(cjson.decode(ARGV[7])) do
  redis.call('HINCRBY', KEYS[5], code .. ':count', failure.count)
  redis.call('HSETNX', KEYS[5], code .. ':message', failure.message)
  redis.call('HSETNX', KEYS[5], code .. ':key', failure.key)
end
if redis.call('HINCRBY', KEYS[1], 'shards_done', 1) == tonumber(redis.call('HGET', KEYS[1], 'shards_total')) then
  redis.call('HSET', KEYS[1], 'last_shard_at', ARGV[5])
  return 2
end
return 1
"""

FINALIZED: Final = """
-- KEYS: job.  ARGV: manifest_uri, now.  Answers 1 if the job is finalized now, 0 if it was before or is gone.
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'finalized' then return 0 end
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
