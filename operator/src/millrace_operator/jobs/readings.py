"""What was seen of a job outside its own object: its ledger and its pool, at one moment.

Not being able to look is a value of its own here. A ledger that cannot be read says nothing about the job, while one
that is not there says that the job was not submitted, or that Redis lost it.
"""

from dataclasses import dataclass

from millrace_contracts.ledger import State
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.pace import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRecords:
    """How many records failed for one reason, with an example."""

    code: str
    message: str
    count: int
    sample_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReading:
    """The ledger of a job. None is "not yet known"; times are seconds since the epoch."""

    state: str
    submitted_at: float | None = None
    plan_published_at: float | None = None
    plan_publications: int = 0
    total: int | None = None
    shards_total: int | None = None
    shards_done: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    in_flight: int = 0
    first_shard_at: float | None = None
    last_progress_at: float | None = None
    last_shard_at: float | None = None
    finalized_at: float | None = None
    output_uri: str = ""
    manifest_uri: str = ""
    model_version: str = ""
    waiting_for: str = ""
    stop_reason: str = ""
    stop_message: str = ""
    failures: tuple[FailedRecords, ...] = ()
    epoch: int = 0
    is_suspended: bool = False
    shards_dispatched: int = 0
    shards_active: int = 0
    """Shards that a worker has begun and not ended."""
    done_bits: bytes = b""
    """Bitmap of the shards that are done, as far as it is shown."""
    cached: int = 0
    ignored: int = 0
    dead_lettered: int = 0
    attempt: int = 1
    resumed_at: float | None = None
    """When the job was taken up again after a suspension; its deadline counts from here."""
    renewed_at: float | None = None
    """When all that was not done was published anew last, because messages were lost."""
    renewals: int = 0
    """How often that happened since the job last got on."""
    renewed_shards: int = 0
    """How many shards were done at that time."""
    planned_as: str = ""
    """The priority and share of the pool that the shards which are out carry; empty before the first plan."""
    is_tidied: bool = False
    """Word was sent that its checkpoints are to be removed."""
    notified: frozenset[str] = frozenset()
    """What was told to those who asked for it, as `<event>:<number of the notification>`."""

    @property
    def done(self) -> int:
        """Records that have their result or their error."""
        return self.succeeded + self.failed

    @property
    def is_being_planned(self) -> bool:
        """Tell whether its shards may be published at any moment, and nobody knows how many they are."""
        is_under_way = self.plan_published_at is not None and not self.is_suspended and not self.stop_reason
        return is_under_way and self.state == State.SUBMITTED and self.shards_total is None

    @property
    def held_back(self) -> int:
        """Shards that wait in no queue, because the window of the job is full."""
        if self.shards_total is None or self.is_suspended or self.stop_reason or self.state != State.DISPATCHED:
            return 0
        return max(0, self.shards_total - self.shards_dispatched)


@dataclass(frozen=True, slots=True)
class LedgerMissing:
    """Redis answered, and has no ledger of this job."""


@dataclass(frozen=True, slots=True)
class LedgerUnknown:
    """Redis did not answer; nothing is known, so nothing changes."""

    message: str


Ledger = LedgerReading | LedgerMissing | LedgerUnknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """What a job needs to know of its WorkerPool."""

    name: str
    queue: str
    ready_replicas: int = 0
    concurrency: int = 1
    """Tasks that one of its workers runs at a time."""
    max_replicas: int = 1
    waiting_tasks: int | None = None
    """Tasks of all jobs that wait in its queue; None: not known."""
    running_tasks: int | None = None
    """Tasks of all jobs that its workers hold; None: not known."""
    broker_trouble: str = ""
    """Why the pool's queue cannot be read; empty when it can, or when the pool has not said yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """All that is known of one job at one moment."""

    job: PredictionJob
    ledger: Ledger
    pool: PoolView | None
    """None: there is no WorkerPool of that name in the namespace."""
    pool_names: tuple[str, ...] = ()
    publish_trouble: str = ""
    """Why the last try to publish this job's plan failed; empty when it did not."""
    pace: Pace | None = None
    """How fast the job was lately; None: it was not watched yet."""
