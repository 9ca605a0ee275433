"""Read and write the job ledgers in Redis: the operator's side of `millrace_contracts.ledger`.

All active jobs are read in one round trip, so a thousand jobs cost about as much as one. Nothing here raises a Redis
error: a read that fails is `LedgerUnknown`, a write that fails is `LedgerUnreachable`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from millrace_contracts import ledger as contract
from millrace_contracts.errors import JobFailure
from millrace_contracts.ledger import Field
from millrace_contracts.results import errors_key, manifest_key, results_key
from millrace_operator.errors import OperatorError
from millrace_operator.jobs.readings import FailedRecords, Ledger, LedgerMissing, LedgerReading, LedgerUnknown

NOTE_PLAN_PUBLISHED: Final = """
-- KEYS: job.  ARGV: now.  Answers 0 if the job is gone; a bare HSET would make half a ledger anew.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'plan_published_at', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'plan_publications', 1)
return 1
"""
"""Here and not in the contracts: the operator alone writes these two fields."""

ABANDONED_RESULTS_TTL_SECONDS: Final = 86_400
"""For results of a job that was deleted before anybody gave them a time to live, if its own is not known any more."""

_UNREACHABLE: Final = (RedisError, OSError, TimeoutError)


class LedgerUnreachable(OperatorError):  # noqa: N818 - it says what happened
    """Redis did not take a change; doing it again is safe."""


class LedgerStore:
    """The ledgers of all jobs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._submit = redis.register_script(contract.SUBMIT)
        self._stop = redis.register_script(contract.STOP)
        self._note_plan_published = redis.register_script(NOTE_PLAN_PUBLISHED)

    async def read_all(self, uids: Sequence[str]) -> dict[str, Ledger]:
        """Read the ledgers of these jobs in one round trip; when Redis does not answer, each of them is unknown."""
        if not uids:
            return {}
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for uid in uids:
                    pipeline.hgetall(contract.job_key(uid))
                    pipeline.hgetall(contract.failures_key(uid))
                answers = await pipeline.execute(raise_on_error=False)
        except _UNREACHABLE as error:
            return dict.fromkeys(uids, LedgerUnknown(say_unreachable(error)))
        return {uid: _understand(answers[2 * i], answers[2 * i + 1]) for i, uid in enumerate(uids)}

    async def submit(self, *, uid: str, namespace: str, name: str, now: float) -> None:
        """Make the ledger of a job; one that is there already stays as it is."""
        keys = [contract.job_key(uid), contract.JOBS_KEY]
        await self._run(self._submit(keys=keys, args=[uid, namespace, name, repr(now)]))

    async def note_plan_published(self, uid: str, *, now: float) -> None:
        """Remember when the plan was published last, and how often."""
        await self._run(self._note_plan_published(keys=[contract.job_key(uid)], args=[repr(now)]))

    async def stop(self, uid: str, *, reason: JobFailure, message: str) -> None:
        """Let the job's shards do nothing more; an earlier reason stands, and a finished job stays finished."""
        await self._run(self._stop(keys=[contract.job_key(uid)], args=[reason.value, message]))

    async def delete(self, uid: str, *, results_ttl_seconds: int | None) -> None:
        """Delete the ledger, which cancels what is left of the job; its results keep their own time to live.

        Results without one are of a job that did not end. They get one now, so that nothing stays in Redis for ever.
        """
        ttl_seconds = results_ttl_seconds or ABANDONED_RESULTS_TTL_SECONDS
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(*contract.ledger_keys(uid))
            for key in (results_key(uid), errors_key(uid), manifest_key(uid)):
                pipeline.expire(key, ttl_seconds, nx=True)
            await self._run(pipeline.execute())
        # Last and apart: while the name is listed the sweep tries again; and on Redis Cluster this key is elsewhere.
        await self._run(self._redis.hdel(contract.JOBS_KEY, uid))

    async def list_jobs(self) -> dict[str, tuple[str, str]]:
        """List every job that has a ledger: uid -> namespace and name."""
        listed = await self._run(self._redis.hgetall(contract.JOBS_KEY))
        names = {_text(uid): _text(name).partition("/") for uid, name in listed.items()}
        return {uid: (namespace, name) for uid, (namespace, _, name) in names.items()}

    @staticmethod
    async def _run(command: Any) -> Any:
        try:
            return await command
        except _UNREACHABLE as error:
            raise LedgerUnreachable(say_unreachable(error)) from error


def say_unreachable(error: Exception) -> str:
    """Say that Redis does not answer, and what it or the network said; redis-py puts no password into messages."""
    detail = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"Redis, which holds the job ledger, does not answer ({detail[:300]})"


def _understand(job: Any, failures: Any) -> Ledger:
    for answer in (job, failures):
        if isinstance(answer, Exception):
            return LedgerUnknown(say_unreachable(answer))
    if not job:
        return LedgerMissing()
    fields = {_text(name): _text(value) for name, value in job.items()}
    try:
        return _reading(fields, {_text(name): _text(value) for name, value in failures.items()})
    except ValueError as error:
        return LedgerUnknown(f"The job ledger in Redis cannot be understood ({error})")


def _reading(fields: Mapping[str, str], failures: Mapping[str, str]) -> LedgerReading:
    return LedgerReading(
        state=fields.get(Field.STATE, contract.State.SUBMITTED),
        submitted_at=_seconds(fields, Field.SUBMITTED_AT),
        plan_published_at=_seconds(fields, Field.PLAN_PUBLISHED_AT),
        plan_publications=int(fields.get(Field.PLAN_PUBLICATIONS, "0")),
        total=_number(fields, Field.TOTAL),
        shards_total=_number(fields, Field.SHARDS_TOTAL),
        shards_done=int(fields.get(Field.SHARDS_DONE, "0")),
        succeeded=int(fields.get(Field.SUCCEEDED, "0")),
        failed=int(fields.get(Field.FAILED, "0")),
        retried=int(fields.get(Field.RETRIED, "0")),
        in_flight=int(fields.get(Field.IN_FLIGHT, "0")),
        first_shard_at=_seconds(fields, Field.FIRST_SHARD_AT),
        last_progress_at=_seconds(fields, Field.LAST_PROGRESS_AT),
        last_shard_at=_seconds(fields, Field.LAST_SHARD_AT),
        finalized_at=_seconds(fields, Field.FINALIZED_AT),
        output_uri=fields.get(Field.OUTPUT_URI, ""),
        manifest_uri=fields.get(Field.MANIFEST_URI, ""),
        model_version=fields.get(Field.MODEL_VERSION, ""),
        waiting_for=fields.get(Field.WAITING_FOR, ""),
        stop_reason=fields.get(Field.STOP_REASON, ""),
        stop_message=fields.get(Field.STOP_MESSAGE, ""),
        failures=_failures(failures),
    )


def _failures(fields: Mapping[str, str]) -> tuple[FailedRecords, ...]:
    codes = [name.removesuffix(":count") for name in fields if name.endswith(":count")]
    found = [
        FailedRecords(
            code=code,
            message=fields.get(f"{code}:message", ""),
            count=int(fields[f"{code}:count"]),
            sample_key=fields.get(f"{code}:key", ""),
        )
        for code in codes
    ]
    return tuple(sorted(found, key=lambda failed: (-failed.count, failed.code)))


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if fields.get(name) else None


def _seconds(fields: Mapping[str, str], name: str) -> float | None:
    return float(fields[name]) if fields.get(name) else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
