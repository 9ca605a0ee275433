"""The job ledger in Redis: which shards are done and how many records succeeded, each counted once.

All keys of a job share a hash tag, so its scripts also run on Redis Cluster. Times are seconds since the epoch as text.
The operator creates a job's ledger before it publishes the plan and deletes it with the job, so a task that finds no
ledger belongs to a job that is gone, and does nothing.

Invariant, at every moment: succeeded + failed + in flight + pending = total, with pending as the remainder.

Here are its keys, fields and words; what changes it, each atomically, are the scripts of `ledger_scripts`.
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


def index_key(uid: str) -> str:
    """String: where each shard lies, as entries of `millrace_contracts.shard_index`; written once, by the plan."""
    return f"millrace:{{{uid}}}:index"


def files_key(uid: str) -> str:
    """Hash: file number -> FileRef as JSON; or "kafka" -> topic, where the entries are of Kafka.

    Of inline records: shard -> its records as a JSON list, and "inline" -> how many shards.
    """
    return f"millrace:{{{uid}}}:files"


def feeds_key(uid: str) -> str:
    """Hash: who is to publish shards ("plan", or the index of a shard that is done) -> JSON of epoch and shards.

    It stands from the moment when the shards were given out until the broker confirmed them. So whoever is delivered
    again finds what it still has to publish.
    """
    return f"millrace:{{{uid}}}:feeds"


def suspects_key(uid: str) -> str:
    """Hash: shard index -> JSON list of record positions that were at work when its worker was last seen."""
    return f"millrace:{{{uid}}}:suspects"


def poison_key(uid: str) -> str:
    """Hash: shard index -> JSON list of record positions that end each worker that holds them."""
    return f"millrace:{{{uid}}}:poison"


def parts_key(uid: str) -> str:
    """Hash: shard index -> JSON list of the parts that it wrote, each a `millrace_contracts.results.Part`."""
    return f"millrace:{{{uid}}}:parts"


def ledger_keys(uid: str) -> tuple[str, ...]:
    """Every key that the ledger of a job may have, without its results."""
    makers = (
        job_key,
        done_key,
        in_flight_key,
        starts_key,
        failures_key,
        index_key,
        files_key,
        feeds_key,
        suspects_key,
        poison_key,
        parts_key,
    )
    return tuple(make(uid) for make in makers)


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
    EPOCH: Final = "epoch"
    """How often all that was not done was published anew (after a resume, or because messages were lost)."""
    BORN: Final = "born"
    """The epoch in which this ledger was made; what was at work before does not count in it."""
    SUSPENDED: Final = "suspended"
    """Present while the job is suspended: shards that are running finish, others do nothing."""
    SHARDS_DISPATCHED: Final = "shards_dispatched"
    """How far shards were given out in this epoch; those from here on are held back, and wait in no queue."""
    WINDOW: Final = "window"
    CACHED: Final = "cached"
    """Of the succeeded, those that the prediction cache answered."""
    IGNORED: Final = "ignored"
    """Of the failed, those that a retry rule leaves out of the budget."""
    DEAD_LETTERED: Final = "dead_lettered"
    """Records that ended their workers and lie in the dead-letter queue now."""
    REDRIVEN: Final = "redriven"
    """Records that came back from the dead-letter queue and were settled then."""
    MANIFEST_REDRIVEN: Final = "manifest_redriven"
    """Those of them that the manifest knows."""
    MAX_FAILED_RECORDS: Final = "max_failed_records"
    MAX_FAILED_PERCENT: Final = "max_failed_percent"
    MIN_RECORDS: Final = "min_records"


class State:
    """Values of `Field.STATE`, in their order."""

    SUBMITTED: Final = "submitted"
    """The operator made the ledger; no plan has run."""
    DISPATCHING: Final = "dispatching"
    """The totals are known; shards are being published."""
    DISPATCHED: Final = "dispatched"
    """The first window of shards was confirmed by the broker; each shard that is done brings the next."""
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
    SUSPENDED: Final = "suspended"
    """Nothing is to be done now; a resume publishes the shard anew."""
    STALE: Final = "stale"
    """It was published anew since; this message is to be forgotten."""
    POISON: Final = "poison"
    """The shard was begun too often without an end: fail its records."""
