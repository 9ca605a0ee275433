"""Read and write the job ledgers in Redis: the operator's side of `millrace_contracts.ledger`.

All active jobs are read in one round trip, so a thousand jobs cost about as much as one. Nothing here raises a Redis
error: a read that fails is `LedgerUnknown`, a write that fails is `LedgerUnreachable`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import RedisError

from millrace_contracts import ledger as contract
from millrace_contracts import ledger_scripts as scripts
from millrace_contracts.errors import JobFailure
from millrace_contracts.ledger import Field, State
from millrace_contracts.results import errors_key, manifest_key, results_key
from millrace_contracts.tasks import JobRef, TidyTask
from millrace_operator.errors import OperatorError
from millrace_operator.jobs.ledger_answers import NOTIFIED, TIDIED, as_text, say_unreachable, understand
from millrace_operator.jobs.readings import Ledger, LedgerUnknown
from millrace_operator.jobs.tidying import tidying

NOTE_PLAN_PUBLISHED: Final = """
-- KEYS: job.  ARGV: now, share.  Answers 0 if the job is gone; a bare HSET would make half a ledger anew.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'plan_published_at', ARGV[1], 'planned_as', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'plan_publications', 1)
return 1
"""
"""Here and not in the contracts, like the next ones: the operator alone writes these fields."""

NOTE: Final = """
-- KEYS: job.  ARGV: field, value, ...  Answers 0 if the job is gone.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""

_SHOWN_BYTES: Final = 4096
"""Of the bitmap of shards that are done: 32,768 of them, more than the list of them in the status has room for."""

ABANDONED_RESULTS_TTL_SECONDS: Final = 86_400
"""For results of a job that was deleted before anybody gave them a time to live, if its own is not known any more."""

_UNREACHABLE: Final = (RedisError, OSError, TimeoutError)


class LedgerUnreachable(OperatorError):  # noqa: N818 - it says what happened
    """Redis did not take a change; doing it again is safe."""


class LedgerStore:
    """The ledgers of all jobs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._submit = redis.register_script(scripts.SUBMIT)
        self._stop = redis.register_script(scripts.STOP)
        self._suspend = redis.register_script(scripts.SUSPEND)
        self._dispatch_anew = redis.register_script(scripts.DISPATCH_ANEW)
        self._note_plan_published = redis.register_script(NOTE_PLAN_PUBLISHED)
        self._note = redis.register_script(NOTE)

    async def read_all(self, uids: Sequence[str]) -> dict[str, Ledger]:
        """Read the ledgers of these jobs in one round trip; when Redis does not answer, each of them is unknown."""
        if not uids:
            return {}
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for uid in uids:
                    pipeline.hgetall(contract.job_key(uid))
                    pipeline.hgetall(contract.failures_key(uid))
                    pipeline.hlen(contract.in_flight_key(uid))
                    # Bits are no text, whatever the connection makes of all other answers.
                    pipeline.execute_command(
                        "GETRANGE", contract.done_key(uid), 0, _SHOWN_BYTES - 1, **{NEVER_DECODE: True}
                    )
                answers = await pipeline.execute(raise_on_error=False)
        except _UNREACHABLE as error:
            return dict.fromkeys(uids, LedgerUnknown(say_unreachable(error)))
        return {uid: understand(*answers[4 * i : 4 * i + 4]) for i, uid in enumerate(uids)}

    async def submit(self, *, uid: str, namespace: str, name: str, now: float, attempt: int = 1) -> None:
        """Make the ledger of a job; one that is there already stays as it is."""
        keys = [contract.job_key(uid), contract.JOBS_KEY]
        # What was published before a ledger got lost is stale in the epoch of the next one.
        epoch = 0 if attempt == 1 else int(now)
        if await self._run(self._submit(keys=keys, args=[uid, namespace, name, repr(now), epoch])):
            await self._run(self._note(keys=keys[:1], args=["attempt", attempt]))

    async def note_plan_published(self, uid: str, *, now: float, share: str) -> None:
        """Remember when the plan was published last, how often, and what its shards carry."""
        await self._run(self._note_plan_published(keys=[contract.job_key(uid)], args=[repr(now), share]))

    async def suspend(self, uid: str) -> None:
        """Let no shard begin until the job is dispatched anew; those that run finish."""
        await self._run(self._suspend(keys=[contract.job_key(uid)]))

    async def dispatch_anew(self, uid: str, *, note: Mapping[str, Any]) -> bool:
        """Forget what is out and end a suspension; answer False for a job that has ended. A plan must follow."""
        keys = [contract.job_key(uid), contract.feeds_key(uid)]
        # The note first: without it the next look would count from the wrong time, the other way round it notes anew.
        if note:
            await self._run(self._note(keys=keys[:1], args=[part for pair in note.items() for part in pair]))
        epoch: int = await self._run(self._dispatch_anew(keys=keys))
        return epoch >= 0

    async def note_notified(self, uid: str, notice: str, *, now: float) -> None:
        """Remember that somebody was told something."""
        await self._run(self._note(keys=[contract.job_key(uid)], args=[NOTIFIED + notice, repr(now)]))

    async def note_tidied(self, uid: str, *, now: float) -> None:
        """Remember that the job's checkpoints are being removed."""
        await self._run(self._note(keys=[contract.job_key(uid)], args=[TIDIED, repr(now)]))

    async def stop(self, uid: str, *, reason: JobFailure, message: str) -> None:
        """Let the job's shards do nothing more; an earlier reason stands, and a finished job stays finished."""
        await self._run(self._stop(keys=[contract.job_key(uid)], args=[reason.value, message]))

    async def delete(self, uid: str, *, results_ttl_seconds: int | None) -> TidyTask | None:
        """Delete the ledger, which cancels what is left of the job; its results keep their own time to live.

        Answers what is to be tidied after it, if anything is.

        Results without one are of a job that did not end. They get one now, so that nothing stays in Redis for ever.
        """
        ttl_seconds = results_ttl_seconds or ABANDONED_RESULTS_TTL_SECONDS
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hmget(contract.job_key(uid), [Field.NAMESPACE, Field.NAME, Field.STATE, Field.OUTPUT_URI])
            pipeline.delete(*contract.ledger_keys(uid))
            for key in (results_key(uid), errors_key(uid), manifest_key(uid)):
                pipeline.expire(key, ttl_seconds, nx=True)
            answers = await self._run(pipeline.execute())
        # Last and apart: while the name is listed the sweep tries again; and on Redis Cluster this key is elsewhere.
        await self._run(self._redis.hdel(contract.JOBS_KEY, uid))
        namespace, name, state, output_uri = (as_text(value or "") for value in answers[0])
        return (
            None if state == State.FINALIZED else tidying(JobRef(namespace=namespace, name=name, uid=uid), output_uri)
        )

    async def list_jobs(self) -> dict[str, tuple[str, str]]:
        """List every job that has a ledger: uid -> namespace and name."""
        listed = await self._run(self._redis.hgetall(contract.JOBS_KEY))
        names = {as_text(uid): as_text(name).partition("/") for uid, name in listed.items()}
        return {uid: (namespace, name) for uid, (namespace, _, name) in names.items()}

    @staticmethod
    async def _run(command: Any) -> Any:
        try:
            return await command
        except _UNREACHABLE as error:
            raise LedgerUnreachable(say_unreachable(error)) from error
