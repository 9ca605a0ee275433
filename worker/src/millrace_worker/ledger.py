"""The workers' view of the job ledger: it runs the scripts of the contract, and nothing else."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import redis
from pydantic import TypeAdapter
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from millrace_contracts import ledger as contract
from millrace_contracts import ledger_scripts as scripts
from millrace_contracts import poison
from millrace_contracts.errors import JobFailure, RecordError
from millrace_contracts.ledger import Field, State
from millrace_contracts.results import Part
from millrace_contracts.tasks import FailureBudget
from millrace_worker.errors import LedgerUnavailable

MAX_STARTS: Final = 5
"""How often a shard may be begun without an end before its records fail.

A shard that kills its worker does so each time, so a few starts are proof enough. More than one or two are needed,
because pods also die for reasons of their own: evictions, spot nodes, memory taken by a neighbour. It must stay well
under the delivery limit of the queue (20), which would drop the message without counting its records.
"""


_LAST: Final = 2
"""What FINISH_SHARD answers to the last shard."""

_PARTS: Final = TypeAdapter(list[Part])


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureTally:
    """How many records failed with one code, with an example."""

    count: int
    message: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCounts:
    """What one shard adds to the ledger."""

    planned: int
    """Records that the plan expected of it. With fewer the job's total becomes smaller."""
    succeeded: int
    failed: int
    retried: int = 0
    cached: int = 0
    ignored: int = 0
    dead_lettered: int = 0
    model_version: str = ""
    failures: Mapping[RecordError, FailureTally] = field(default_factory=dict)
    parts: Sequence[Part] = ()


class Begun(NamedTuple):
    """What a worker is to do with a shard that it was handed."""

    verdict: str
    """A BeginShard value."""
    starts: int
    """How often it was begun without an end, this time included; 0 where it is not to run."""


class Finished(NamedTuple):
    """What became of a shard that a worker has done."""

    counts: bool
    """False: it was counted before, or the job is gone."""
    was_last: bool
    next_shard: int | None
    """The shard that this one is to publish."""
    epoch: int
    """Of that publication."""


class Feed(NamedTuple):
    """Shards that were given to somebody to publish and are not confirmed."""

    epoch: int
    shards: Sequence[int]


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
        self._begin_dispatch = client.register_script(scripts.BEGIN_DISPATCH)
        self._give_out = client.register_script(scripts.GIVE_OUT)
        self._wait = client.register_script(scripts.WAIT)
        self._end_dispatch = client.register_script(scripts.END_DISPATCH)
        self._begin_shard = client.register_script(scripts.BEGIN_SHARD)
        self._release_shard = client.register_script(scripts.RELEASE_SHARD)
        self._finish_shard = client.register_script(scripts.FINISH_SHARD)
        self._redriven = client.register_script(poison.REDRIVEN)
        self._finalized = client.register_script(scripts.FINALIZED)
        self._stop = client.register_script(scripts.STOP)

    def is_planning(self, uid: str) -> bool:
        """Say whether the job needs its plan: it exists, nobody stopped or suspended it, and shards are to be sent."""
        fields = self.read(uid)
        is_held = Field.STOP_REASON in fields or Field.SUSPENDED in fields
        return fields.get(Field.STATE) in {State.SUBMITTED, State.DISPATCHING} and not is_held

    def is_active(self, uid: str) -> bool:
        """Say whether the job exists and was not stopped; the running shards of a suspended job go on."""
        with translated():
            state, stop = self._client.hmget(contract.job_key(uid), [Field.STATE, Field.STOP_REASON])
            return state is not None and stop is None

    def needs_finalize(self, uid: str) -> bool:
        """Say whether all shards are counted and the manifest is not written, or knows nothing of redriven records."""
        return needs_finalize(self.read(uid))

    def begin_dispatch(
        self, uid: str, *, total: int, shards_total: int, output_uri: str, window: int, budget: FailureBudget
    ) -> int | None:
        """Write the totals; answers the epoch to publish in, or None: that is done, or nobody wants it any more."""
        limits = (budget.max_failed_records, budget.max_failed_percent, budget.min_records)
        shown = ["" if limit is None else limit for limit in limits]
        with translated():
            arguments: list[str | int] = [total, shards_total, output_uri, self._time(), window, *shown]
            epoch = int(self._begin_dispatch(keys=[contract.job_key(uid)], args=arguments))
            return None if epoch < 0 else epoch

    def give_out(self, uid: str, *, count: int, epoch: int) -> list[int]:
        """Answer the shards that the plan is to publish now."""
        keys = [contract.job_key(uid), contract.done_key(uid), contract.feeds_key(uid)]
        with translated():
            return [int(shard) for shard in self._give_out(keys=keys, args=[count, epoch])]

    def end_dispatch(self, uid: str, *, epoch: int) -> None:
        """Note that the broker has what was given to the plan."""
        with translated():
            self._end_dispatch(keys=[contract.job_key(uid), contract.feeds_key(uid)], args=[epoch])

    def feed(self, uid: str, shard: int) -> Feed | None:
        """Answer what the shard, which is done, was given to publish; None when the broker has it."""
        with translated():
            text: Any = self._client.hget(contract.feeds_key(uid), str(shard))
        if text is None:
            return None
        feed = json.loads(text)
        return Feed(epoch=int(feed["epoch"]), shards=[int(shard) for shard in feed["shards"]])

    def fed(self, uid: str, shard: int) -> None:
        """Note that the broker has what the shard was given to publish."""
        with translated():
            self._client.hdel(contract.feeds_key(uid), str(shard))

    def undone(self, uid: str, shards_total: int) -> list[int]:
        """Answer the shards that are not counted."""
        with translated():
            bits: Any = self._client.execute_command("GET", contract.done_key(uid), NEVER_DECODE=True)  # type: ignore[no-untyped-call] # redis
        done = bits or b""
        return [i for i in range(shards_total) if i // 8 >= len(done) or not done[i // 8] >> (7 - i % 8) & 1]

    def begin_shard(self, uid: str, shard: int, *, records: int, epoch: int) -> Begun:
        """Note that a worker holds the shard."""
        keys = [contract.job_key(uid), contract.done_key(uid), contract.in_flight_key(uid), contract.starts_key(uid)]
        with translated():
            answer = self._begin_shard(keys=keys, args=[shard, records, self._time(), MAX_STARTS, epoch])
            return Begun(verdict=str(answer[0]), starts=int(answer[1]))

    def release_shard(self, uid: str, shard: int, *, waiting_for: str) -> None:
        """Give a shard back undone, and say what it waits for."""
        makers = (contract.job_key, contract.in_flight_key, contract.starts_key, contract.suspects_key)
        with translated():
            self._release_shard(keys=[make(uid) for make in makers], args=[shard, waiting_for])

    def wait(self, uid: str, *, waiting_for: str) -> None:
        """Say what the plan or the manifest of a job waits for."""
        with translated():
            self._wait(keys=[contract.job_key(uid)], args=[waiting_for])

    def finish_shard(self, uid: str, shard: int, counts: ShardCounts, *, epoch: int | None = None) -> Finished:
        """Count the shard once; one of an epoch before the ledger was made does not count."""
        failures = {
            str(code): {"count": tally.count, "message": tally.message, "key": tally.key}
            for code, tally in counts.failures.items()
        }
        beginning = (contract.job_key, contract.done_key, contract.in_flight_key, contract.starts_key)
        ending = (contract.failures_key, contract.feeds_key, contract.suspects_key, contract.parts_key)
        arguments: list[str | int] = [shard, counts.succeeded, counts.failed, counts.retried, self._time()]
        arguments += [counts.model_version, json.dumps(failures), counts.planned, counts.cached, counts.ignored]
        arguments += [_parts(counts.parts), counts.dead_lettered, "" if epoch is None else epoch]
        with translated():
            answer = self._finish_shard(keys=[make(uid) for make in (*beginning, *ending)], args=arguments)
            outcome, following, epoch = (int(number) for number in answer)
        return Finished(
            counts=outcome > 0,
            was_last=outcome == _LAST,
            next_shard=None if following < 0 else following,
            epoch=epoch,
        )

    def redriven(
        self,
        uid: str,
        shard: int,
        *,
        code: RecordError,
        succeeded: Sequence[int],
        failed: Sequence[int] = (),
        parts: Sequence[Part] = (),
    ) -> int:
        """Settle records that came back from the dead-letter queue, each once; answers how many count."""
        makers = (contract.job_key, contract.failures_key, contract.poison_key, contract.parts_key)
        arguments: list[str | int] = [str(code), shard, json.dumps(list(succeeded)), json.dumps(list(failed))]
        with translated():
            return int(self._redriven(keys=[make(uid) for make in makers], args=[*arguments, _parts(parts)]))

    def parts(self, uid: str) -> dict[int, list[Part]]:
        """Answer what each shard wrote, in input order."""
        with translated():
            texts: Any = self._client.hgetall(contract.parts_key(uid))
        return {
            int(shard): _PARTS.validate_json(text) for shard, text in sorted(texts.items(), key=lambda at: int(at[0]))
        }

    def finalized(self, uid: str, *, manifest_uri: str, redriven: int = 0) -> bool:
        """Note that the manifest is written; False means that it was before, or that the job is gone."""
        with translated():
            return bool(self._finalized(keys=[contract.job_key(uid)], args=[manifest_uri, self._time(), redriven]))

    def stop(self, uid: str, *, reason: JobFailure, message: str) -> bool:
        """Stop the job for this reason, unless it has ended or has another one."""
        with translated():
            return bool(self._stop(keys=[contract.job_key(uid)], args=[str(reason), message]))

    def read(self, uid: str) -> dict[str, str]:
        """Answer all counters and times of a job; empty when it is gone."""
        with translated():
            fields: Any = self._client.hgetall(contract.job_key(uid))
            return dict(fields)

    def _time(self) -> str:
        return f"{self._now():.3f}"


def needs_finalize(fields: Mapping[str, str]) -> bool:
    """Say the same of the counters of a job."""
    is_whole = Field.SHARDS_TOTAL in fields and fields.get(Field.SHARDS_DONE) == fields[Field.SHARDS_TOTAL]
    if not is_whole or Field.STOP_REASON in fields:
        return False
    is_old = fields.get(Field.REDRIVEN, "0") != fields.get(Field.MANIFEST_REDRIVEN, "0")
    return fields.get(Field.STATE) != State.FINALIZED or is_old


def _parts(parts: Sequence[Part]) -> str:
    return _PARTS.dump_json(list(parts)).decode() if parts else ""


@contextmanager
def translated() -> Iterator[None]:
    """Turn whatever Redis raises into LedgerUnavailable: nothing of it is the fault of a record."""
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise LedgerUnavailable(f"Redis does not serve the job ledger: {type(error).__name__}: {error}") from error
