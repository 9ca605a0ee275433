"""Predict one shard, write its results, then count it in the ledger; in this order, so that what counts is there.

May run any number of times, also at the same time: the results are replaced by equal ones and the ledger counts the
first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millrace_contracts.errors import RecordError
from millrace_contracts.ledger import BeginShard
from millrace_contracts.results import RecordFailure, RecordResult
from millrace_contracts.tasks import FinalizeTask, ShardTask
from millrace_worker.context import Context
from millrace_worker.errors import JobOver, LedgerUnavailable, RecordInvalid, Unavailable
from millrace_worker.inference import batches, codec
from millrace_worker.inference.predict import Limits, Outcome, Predicted, predict
from millrace_worker.inference.requests import Requests
from millrace_worker.ledger import MAX_STARTS, FailureTally, ShardCounts
from millrace_worker.logs import get_logger
from millrace_worker.records import Record, fail, read_records

DESCRIBE_TIMEOUT_SECONDS = 10
"""Limit of a question about the model, which Triton answers from memory."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOutcome:
    """What a shard gave: every record is in one of the two lists."""

    results: Sequence[RecordResult]
    failures: Sequence[RecordFailure]
    retried: int = 0
    model_version: str = ""


def predict_shard(task: ShardTask, context: Context) -> None:
    """Predict and count the shard; raises Unavailable after giving the shard back."""
    uid, index = task.spec.job.uid, task.shard.index
    verdict = context.ledger.begin_shard(uid, index, records=task.shard.record_count)
    if verdict == BeginShard.DONE_ALL:
        context.publisher.publish_finalize(FinalizeTask(spec=task.spec))
    if verdict not in {BeginShard.RUN, BeginShard.POISON}:
        log.info("shard not needed", job=task.spec.job.name, uid=uid, shard=index, why=verdict)
        return
    try:
        outcome = _give_up(task, context) if verdict == BeginShard.POISON else _compute(task, context)
        context.destination(task.spec).write_shard(index, outcome.results, outcome.failures)
    except LedgerUnavailable:
        raise
    except Unavailable as error:
        context.ledger.release_shard(uid, index, waiting_for=str(error))
        raise
    except JobOver:
        log.info("shard dropped: the job was stopped or deleted", job=task.spec.job.name, uid=uid, shard=index)
        return
    _count(task, outcome, context)


def _compute(task: ShardTask, context: Context) -> ShardOutcome:
    spec = task.spec
    records = read_records(task.shard, key_field=spec.reading.key_field, claims=context.claims)
    models = context.models()
    signature = models.describe(spec.model.name, spec.model.version, timeout_seconds=DESCRIBE_TIMEOUT_SECONDS)
    failures = {i: record for i, record in enumerate(records) if isinstance(record, RecordFailure)}
    encoded: dict[int, codec.Tensors] = {}
    for i, record in enumerate(records):
        if isinstance(record, Record):
            try:
                encoded[i] = codec.encode(record.value, signature)
            except RecordInvalid as error:
                failures[i] = fail(record, RecordError.INVALID_RECORD, str(error))
    requests = Requests(models, signature, encoded, timeout_seconds=spec.request_timeout_seconds)

    def check() -> None:
        _check_that_job_goes_on(context, spec.job.uid)

    outcomes = predict(
        batches.group(encoded, rows=batches.request_rows(signature, spec.batching.max_batch_size)),
        send=requests.send,
        limits=Limits(
            requests_in_flight=spec.batching.max_in_flight_requests,
            retries_per_record=spec.retry.max_retries_per_record,
        ),
        pace=context.pace,
        check=check,
    )
    return _sorted_out(records, outcomes, failures, model_version=requests.model_version)


def _sorted_out(
    records: Sequence[Record | RecordFailure],
    outcomes: Mapping[int, Outcome],
    failures: dict[int, RecordFailure],
    *,
    model_version: str,
) -> ShardOutcome:
    results = []
    for i, outcome in sorted(outcomes.items()):
        record = records[i]
        if not isinstance(record, Record):
            continue
        if isinstance(outcome, Predicted):
            results.append(RecordResult(key=record.key, line=record.line, outputs=outcome.outputs))
        else:
            failures[i] = fail(record, outcome.code, outcome.message, attempts=outcome.attempts)
    return ShardOutcome(
        results=results,
        failures=[failure for _, failure in sorted(failures.items())],
        retried=sum(outcome.attempts > 1 for outcome in outcomes.values()),
        model_version=model_version,
    )


def _give_up(task: ShardTask, context: Context) -> ShardOutcome:
    """Fail all records of a shard that ends each worker that holds it."""
    message = (
        f"each of {MAX_STARTS} workers that began this record's shard died or ran into the task time limit "
        f"({context.settings.task_time_limit_seconds} s); see the logs of the pool's pods, or lower recordsPerTask"
    )
    records = read_records(task.shard, key_field=task.spec.reading.key_field, claims=context.claims)
    failures = [
        record
        if isinstance(record, RecordFailure)
        else fail(record, RecordError.WORKER_LOST, message, attempts=MAX_STARTS)
        for record in records
    ]
    return ShardOutcome(results=[], failures=failures)


def _count(task: ShardTask, outcome: ShardOutcome, context: Context) -> None:
    uid, index = task.spec.job.uid, task.shard.index
    tallies: dict[RecordError, FailureTally] = {}
    for failure in outcome.failures:
        code, known = failure.error.code, tallies.get(failure.error.code)
        tallies[code] = FailureTally(
            count=1 + (known.count if known else 0),
            message=known.message if known else failure.error.message,
            key=known.key if known else failure.key,
        )
    counts = ShardCounts(
        succeeded=len(outcome.results),
        failed=len(outcome.failures),
        retried=outcome.retried,
        model_version=outcome.model_version,
        failures=tallies,
    )
    counted = context.ledger.finish_shard(uid, index, counts)
    log.info(
        "shard done",
        job=task.spec.job.name,
        uid=uid,
        shard=index,
        succeeded=counts.succeeded,
        failed=counts.failed,
        counted=bool(counted),
    )
    # 0 may also be the second answer to a first call whose answer "2" was lost on the way.
    if counted == 2 or (counted == 0 and context.ledger.needs_finalize(uid)):  # noqa: PLR2004 - see finish_shard
        context.publisher.publish_finalize(FinalizeTask(spec=task.spec))


def _check_that_job_goes_on(context: Context, uid: str) -> None:
    try:
        is_active = context.ledger.is_active(uid)
    except LedgerUnavailable as error:
        # The answers of Triton are worth more than this check; the end of the shard will wait for Redis.
        log.warning("cannot see whether the job goes on; predicting further", uid=uid, error=str(error))
        return
    if not is_active:
        raise JobOver(uid)
