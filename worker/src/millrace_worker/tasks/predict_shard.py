"""Predict one shard, write its results, then count it in the ledger; in this order, so that what counts is there.

May run any number of times, also at the same time: the results are replaced by equal ones and the ledger counts the
first.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from celery.exceptions import SoftTimeLimitExceeded

from millrace_contracts.errors import RecordError
from millrace_contracts.inputs import RecordFormat
from millrace_contracts.ledger import BeginShard
from millrace_contracts.outputs import ClaimOutput, ObjectStoreOutput, OutputJoin, ResultFormat
from millrace_contracts.results import RecordFailure
from millrace_contracts.tasks import JobSpec, ShardTask
from millrace_worker import feeding, poison
from millrace_worker.context import Context
from millrace_worker.errors import JobOver, LedgerUnavailable, ModelMissing, ModelUnsuitable, Unavailable
from millrace_worker.inference import batches
from millrace_worker.inference.blocks import Block, Encoding
from millrace_worker.inference.collect import Given
from millrace_worker.inference.columns import fit_columns
from millrace_worker.inference.model import Answer, ModelSignature, TensorSpec
from millrace_worker.inference.predict import Limits
from millrace_worker.inference.requests import BlockRequests
from millrace_worker.inference.shard import ShardOutcome, Work, compute
from millrace_worker.input.read import read_columns, read_shard
from millrace_worker.input.record import Record
from millrace_worker.ledger import FailureTally, ShardCounts
from millrace_worker.logs import get_logger
from millrace_worker.storage.json_lines import result_text
from millrace_worker.storage.outcome import ResultColumns
from millrace_worker.tasks.redrive import redrive
from millrace_worker.tasks.shard_cache import ShardCache

_DONE: Final = frozenset({BeginShard.DONE, BeginShard.DONE_ALL})
_TO_DO: Final = frozenset({BeginShard.RUN, BeginShard.POISON})

log = get_logger(__name__)


def predict_shard(task: ShardTask, context: Context) -> None:
    """Predict and count the shard; raises Unavailable after giving the shard back."""
    if task.redrive:
        redrive(task, context, lambda one: predicted(one, context, care=None))
        return
    uid, index = task.spec.job.uid, task.shard.index
    begun = context.ledger.begin_shard(uid, index, records=task.shard.record_count, epoch=task.epoch)
    if begun.verdict in _DONE:
        feeding.publish_again(task, context, begun.verdict)
    if begun.verdict not in _TO_DO:
        log.info("shard not needed", job=task.spec.job.name, uid=uid, shard=index, why=begun.verdict)
        return
    try:
        with _without_collector():
            counts = work_off(task, context, verdict=begun.verdict, starts=begun.starts)
    except LedgerUnavailable:
        raise
    except Unavailable as error:
        context.ledger.release_shard(uid, index, waiting_for=str(error))
        raise
    except JobOver:
        log.info("shard dropped: the job was stopped or deleted", job=task.spec.job.name, uid=uid, shard=index)
        return
    except SoftTimeLimitExceeded:
        # The worker lives, so nobody is a suspect.
        poison.clear(task, context)
        raise
    is_counted = feeding.finish(task, context, counts)
    about = {"succeeded": counts.succeeded, "failed": counts.failed, "counted": is_counted}
    log.info("shard done", job=task.spec.job.name, uid=uid, shard=index, **about)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Leave cycles alone meanwhile: thousands of records make the collector look at all of them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def work_off(task: ShardTask, context: Context, *, verdict: str = BeginShard.RUN, starts: int = 1) -> ShardCounts:
    """Read, predict and write the records of a shard that the ledger has given to this worker."""
    care = poison.look(task, context, starts=starts)
    if verdict == BeginShard.POISON or (care is not None and len(care.poisonous) > poison.MAX_POISONOUS):
        outcome, outputs = _given_up(task, context, starts=starts)
    else:
        outcome, outputs = predicted(task, context, care=care)
        if outcome.poisonous:
            poison.set_aside(task, context, outcome.poisonous)
    destination = context.destination(task.spec)
    parts = destination.write_shard(task.shard.index, outcome.results, outcome.failures, outputs=outputs)
    return replace(_counts(task, outcome.without(destination.refused)), parts=parts)


def predicted(
    task: ShardTask, context: Context, *, care: poison.Care | None
) -> tuple[ShardOutcome, Sequence[TensorSpec]]:
    """Answer what became of each record, and the outputs that a result has.

    What is remembered of the model is believed as long as nothing speaks against it; then Triton is asked anew.
    """
    spec = task.spec
    remembered = context.known_models.recall(spec.model.name, spec.model.version)
    signature = remembered or context.known_models.describe(spec.model.name, spec.model.version)
    try:
        outcome = _attempt(task, context, signature, care)
        is_believed = remembered is None or not _is_doubtful(outcome, remembered)
    except (ModelMissing, ModelUnsuitable) as error:
        if remembered is None:
            raise
        log.info("the model is not as it was; asking Triton anew", model=spec.model.name, why=str(error))
        signature = context.known_models.describe(spec.model.name, spec.model.version)
        outcome, is_believed = _attempt(task, context, signature, care), True
    if not is_believed:
        believed, signature = signature, context.known_models.describe(spec.model.name, spec.model.version)
        if not signature.has_same_form(believed):
            outcome = _attempt(task, context, signature, care)
    return outcome, [one for one in signature.outputs if not spec.outputs or one.name in spec.outputs]


def _is_doubtful(outcome: ShardOutcome, remembered: ModelSignature) -> bool:
    """Say whether an outcome may come from a description that is out of date."""
    return outcome.is_refused or not outcome.versions <= set(remembered.versions)


def _attempt(task: ShardTask, context: Context, signature: ModelSignature, care: poison.Care | None) -> ShardOutcome:
    spec = task.spec
    rows = batches.request_rows(signature, spec.batching.max_batch_size)
    encoding = Encoding(
        signature=signature,
        rows=rows,
        mapping=spec.reading.tensor_mapping,
        takes_nonfinite=spec.reading.format is RecordFormat.PARQUET,
    )
    requests = BlockRequests(
        context.models(),
        signature,
        timeout_seconds=spec.request_timeout_seconds,
        parameters=spec.parameters,
        outputs=spec.outputs,
    )
    given = _read(task, context, encoding, by_record=care is not None)
    cache = ShardCache(spec, signature, context)
    set_aside = _set_aside(task, given, care)
    work = Work(
        given=given,
        encoding=encoding,
        known=cache.known(given),
        set_aside=set_aside,
        alone=care.suspects if care else (),
        with_input=spec.writing.join is OutputJoin.INPUT,
        write=_text_maker(spec),
    )
    outcome, done = compute(
        work,
        send=None if spec.dry_run else _sender(task, context, requests, care),
        limits=_limits(spec, context, care),
        pace=context.pace,
        check=lambda: _check_that_job_goes_on(context, spec.job.uid),
    )
    cache.store(given, done)
    return outcome


def _read(task: ShardTask, context: Context, encoding: Encoding, *, by_record: bool) -> Given:
    spec = task.spec
    if task.position is not None:
        return [_records(task, context, encoding)[task.position]]
    needs_records = by_record or spec.cache.mode != "Disabled" or spec.writing.join is OutputJoin.INPUT
    if not needs_records and encoding.signature.batches:
        columns = read_columns(task.shard, spec.reading, encoding.field_names, sources=context.sources)
        # What does not fit as a whole is read by record: then each says what is wrong with it.
        if columns is not None and fit_columns(columns.columns, encoding.signature, encoding.fields) is not None:
            return columns
    return _records(task, context, encoding)


def _records(task: ShardTask, context: Context, encoding: Encoding) -> list[Record | RecordFailure]:
    return read_shard(task.shard, task.spec.reading, sources=context.sources, texts=encoding.text_fields)


def _sender(
    task: ShardTask, context: Context, requests: BlockRequests, care: poison.Care | None
) -> Callable[[Block], Answer]:
    if care is None:
        return requests.send_or_fail

    def send_carefully(block: Block) -> Answer:
        poison.note(task, context, block.positions)
        return requests.send_or_fail(block)

    return send_carefully


def _limits(spec: JobSpec, context: Context, care: poison.Care | None) -> Limits:
    retries = spec.retry.max_retries_per_record
    return Limits(
        # Of several at work, nobody could tell which ended the worker.
        requests_in_flight=1 if care else spec.batching.max_in_flight_requests,
        retries_per_record=retries,
        backoff=spec.retry.backoff,
        longest_backoff_seconds=context.settings.task_soft_time_limit_seconds / 2 / max(1, retries),
        rules=spec.retry.rules,
        isolates=spec.retry.isolate_failures == "Bisect",
    )


def _text_maker(spec: JobSpec) -> Callable[[ResultColumns], bytes] | None:
    """Say how results become the text of a part, where the job writes such parts."""
    is_file = isinstance(spec.output, ClaimOutput | ObjectStoreOutput)
    if not is_file or spec.writing.format is not ResultFormat.JSONL:
        return None
    return partial(result_text, join=spec.writing.join)


def _set_aside(task: ShardTask, given: Given, care: poison.Care | None) -> dict[int, RecordFailure]:
    """Fail what is poison; a careful run never reads columns."""
    failures = {}
    for position in care.poisonous if care else ():
        record = given[position] if isinstance(given, Sequence) and position < len(given) else None
        if record is not None and not isinstance(record, RecordFailure):
            failures[position] = poison.failure_of(record, task)
    return failures


def _given_up(task: ShardTask, context: Context, *, starts: int) -> tuple[ShardOutcome, Sequence[TensorSpec]]:
    """Fail all records of a shard that ends each worker that holds it."""
    records = read_shard(task.shard, task.spec.reading, sources=context.sources) if poison.may_be_read(starts) else None
    failures = poison.failures_of_all(records, task, limit_seconds=context.settings.task_time_limit_seconds)
    count = poison.set_all_aside(task, context, failures)
    return ShardOutcome(results=(), failed=dict(enumerate(failures)), succeeded=0, dead_lettered=count), ()


def _counts(task: ShardTask, outcome: ShardOutcome) -> ShardCounts:
    by_code: dict[RecordError, list[RecordFailure]] = {code: [] for code in RecordError}
    for failure in outcome.failures:
        by_code[failure.error.code].append(failure)
    return ShardCounts(
        planned=task.shard.record_count,
        succeeded=outcome.succeeded,
        failed=len(outcome.failures),
        retried=outcome.retried,
        cached=outcome.cached,
        ignored=outcome.ignored,
        dead_lettered=outcome.dead_lettered,
        model_version=outcome.model_version,
        failures={
            code: FailureTally(count=len(failed), message=failed[0].error.message, key=failed[0].key)
            for code, failed in by_code.items()
            if failed
        },
    )


def _check_that_job_goes_on(context: Context, uid: str) -> None:
    try:
        is_active = context.ledger.is_active(uid)
    except LedgerUnavailable as error:
        # The answers of Triton are worth more than this check; the end of the shard will wait for Redis.
        log.warning("cannot see whether the job goes on; predicting further", uid=uid, error=str(error))
        return
    if not is_active:
        raise JobOver(uid)
