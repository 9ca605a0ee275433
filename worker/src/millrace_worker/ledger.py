"""The workers' view of the job ledger: it runs the scripts of `millrace_contracts.ledger`, and nothing else."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from millrace_contracts import ledger as contract
from millrace_contracts.errors import JobFailure, RecordError
from millrace_contracts.ledger import Field, State
from millrace_worker.errors import LedgerUnavailable

MAX_STARTS: Final = 5
"""How often a shard may be begun without an end before its records fail.

A shard that kills its worker does so each time, so a few starts are proof enough. More than one or two are needed,
because pods also die for reasons of their own: evictions, spot nodes, memory taken by a neighbour. It must stay well
under the delivery limit of the queue (20), which would drop the message without counting its records.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureTally:
    """How many records failed with one code, with an example."""

    count: int
    message: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCounts:
    """What one shard adds to the ledger."""

    succeeded: int
    failed: int
    retried: int
    model_version: str = ""
    failures: Mapping[RecordError, FailureTally] = field(default_factory=dict)


def connect(url: str) -> redis.Redis:
    """Make a client with short timeouts and few retries: the task decides what waiting is worth."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=3,
        socket_timeout=10,
        socket_keepalive=True,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=1, base=0.1), 3),
        retry_on_error=[redis.exceptions.ConnectionError, redis.exceptions.TimeoutError],
    )


class Ledger:
    """The ledgers of all jobs; each method is one atomic step."""

    def __init__(self, client: redis.Redis, *, now: Callable[[], float]) -> None:
        self._now = now
        self._client = client
        self._begin_dispatch = client.register_script(contract.BEGIN_DISPATCH)
        self._end_dispatch = client.register_script(contract.END_DISPATCH)
        self._begin_shard = client.register_script(contract.BEGIN_SHARD)
        self._release_shard = client.register_script(contract.RELEASE_SHARD)
        self._finish_shard = client.register_script(contract.FINISH_SHARD)
        self._finalized = client.register_script(contract.FINALIZED)
        self._stop = client.register_script(contract.STOP)

    def is_planning(self, uid: str) -> bool:
        """Say whether the job still needs its plan: it exists, was not stopped, and not all shards are published."""
        fields = self.read(uid)
        return fields.get(Field.STATE) in {State.SUBMITTED, State.DISPATCHING} and Field.STOP_REASON not in fields

    def is_active(self, uid: str) -> bool:
        """Say whether the job exists and was not stopped."""
        with self._translated():
            state, stop = self._client.hmget(contract.job_key(uid), [Field.STATE, Field.STOP_REASON])
            return state is not None and stop is None

    def needs_finalize(self, uid: str) -> bool:
        """Say whether all shards are counted and the manifest is not written."""
        fields = self.read(uid)
        is_whole = Field.SHARDS_TOTAL in fields and fields.get(Field.SHARDS_DONE) == fields[Field.SHARDS_TOTAL]
        return is_whole and fields.get(Field.STATE) != State.FINALIZED and Field.STOP_REASON not in fields

    def begin_dispatch(self, uid: str, *, total: int, shards_total: int, output_uri: str) -> bool:
        """Write the totals; False means that the shards are published already, or that nobody wants them any more."""
        with self._translated():
            arguments: list[str | int] = [total, shards_total, output_uri, self._time()]
            return bool(self._begin_dispatch(keys=[contract.job_key(uid)], args=arguments))

    def end_dispatch(self, uid: str) -> None:
        """Note that every shard is with the broker."""
        with self._translated():
            self._end_dispatch(keys=[contract.job_key(uid)])

    def begin_shard(self, uid: str, shard: int, *, records: int) -> str:
        """Note that a worker holds the shard; answers a BeginShard value."""
        keys = [contract.job_key(uid), contract.done_key(uid), contract.in_flight_key(uid), contract.starts_key(uid)]
        with self._translated():
            return str(self._begin_shard(keys=keys, args=[shard, records, self._time(), MAX_STARTS]))

    def release_shard(self, uid: str, shard: int, *, waiting_for: str) -> None:
        """Give a shard back undone, and say what it waits for."""
        keys = [contract.job_key(uid), contract.in_flight_key(uid), contract.starts_key(uid)]
        with self._translated():
            self._release_shard(keys=keys, args=[shard, waiting_for])

    def finish_shard(self, uid: str, shard: int, counts: ShardCounts) -> int:
        """Count the shard once: 0 it was counted before or the job is gone, 1 it counts, 2 it was the last."""
        failures = {
            str(code): {"count": tally.count, "message": tally.message, "key": tally.key}
            for code, tally in counts.failures.items()
        }
        keys = list(contract.ledger_keys(uid))
        totals = [shard, counts.succeeded, counts.failed, counts.retried]
        with self._translated():
            arguments: list[str | int] = [*totals, self._time(), counts.model_version, json.dumps(failures)]
            return int(self._finish_shard(keys=keys, args=arguments))

    def finalized(self, uid: str, *, manifest_uri: str) -> bool:
        """Note that the manifest is written; False means that it was before, or that the job is gone."""
        with self._translated():
            return bool(self._finalized(keys=[contract.job_key(uid)], args=[manifest_uri, self._time()]))

    def stop(self, uid: str, *, reason: JobFailure, message: str) -> bool:
        """Stop the job for this reason, unless it has ended or has another one."""
        with self._translated():
            return bool(self._stop(keys=[contract.job_key(uid)], args=[str(reason), message]))

    def read(self, uid: str) -> dict[str, str]:
        """Answer all counters and times of a job; empty when it is gone."""
        with self._translated():
            fields: Any = self._client.hgetall(contract.job_key(uid))
            return dict(fields)

    def _time(self) -> str:
        return f"{self._now():.3f}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated():
            yield


@contextmanager
def translated() -> Iterator[None]:
    """Turn whatever Redis raises into LedgerUnavailable: nothing of it is the fault of a record."""
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise LedgerUnavailable(f"Redis does not serve the job ledger: {type(error).__name__}: {error}") from error
