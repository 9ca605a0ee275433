"""Cut a job's input into shards and publish them.

May run any number of times: it writes the same totals and publishes the same shards, and a shard that is published
twice is counted once.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from millrace_contracts.inputs import ClaimInput, FileRef, FileShard, InlineInput, InlineShard, Shard
from millrace_contracts.tasks import PlanTask, ShardTask
from millrace_worker.context import Context
from millrace_worker.errors import InputHasNoRecords, InputUnusable
from millrace_worker.logs import get_logger
from millrace_worker.storage import jsonl
from millrace_worker.storage.claims import Claims, input_error

MAX_SHARDS: Final = 100_000
"""Each is a message that waits for its confirm, and all must be published within the time limit of one task."""

log = get_logger(__name__)


def plan(task: PlanTask, context: Context) -> None:
    """Publish all shards of the job, or raise JobImpossible."""
    spec, uid = task.spec, task.spec.job.uid
    if not context.ledger.is_planning(uid):
        log.info("plan not needed", job=spec.job.name, uid=uid)
        return
    shards = _all_shards(task, context.claims)
    destination = context.destination(spec)
    destination.prepare()
    total = sum(shard.record_count for shard in shards)
    if not context.ledger.begin_dispatch(uid, total=total, shards_total=len(shards), output_uri=destination.uri):
        return
    context.publisher.ensure_queue(spec.queue)
    for shard in shards:
        context.publisher.publish_shard(ShardTask(spec=spec, shard=shard))
    context.ledger.end_dispatch(uid)
    log.info("plan published", job=spec.job.name, uid=uid, records=total, shards=len(shards), queue=spec.queue)


def _all_shards(task: PlanTask, claims: Claims) -> list[Shard]:
    shards = list(islice(cut(task, claims), MAX_SHARDS + 1))
    if not shards:
        where = (
            f'"{task.input.path}" on claim "{task.input.claim_name}"'
            if isinstance(task.input, ClaimInput)
            else "the input"
        )
        raise InputHasNoRecords(
            f"{where} has no record: it is empty or has blank lines only; put one JSON object a line"
        )
    if len(shards) > MAX_SHARDS:
        size = task.spec.batching.records_per_task
        raise InputUnusable(
            f"the input makes more than {MAX_SHARDS:,} tasks of {size} records; raise spec.batching.recordsPerTask"
        )
    return shards


def cut(task: PlanTask, claims: Claims) -> Iterator[Shard]:
    """Cut the input into shards; every record is in exactly one of them."""
    size, source = task.spec.batching.records_per_task, task.input
    if isinstance(source, InlineInput):
        for index, start in enumerate(range(0, len(source.records), size)):
            part = source.records[start : start + size]
            yield Shard(index=index, first_line=start + 1, record_count=len(part), source=InlineShard(records=part))
        return
    if not isinstance(source, ClaimInput):
        raise InputUnusable("this version reads inline records and files on claims")
    file = claims.input_file(source.claim_name, source.path)
    try:
        for index, extent in enumerate(jsonl.cut(file, records_per_extent=size)):
            yield Shard(
                index=index,
                first_line=extent.first_line,
                record_count=extent.record_count,
                source=FileShard(
                    file=FileRef(uri=f"claim:{source.claim_name}/{source.path}"),
                    offset=extent.offset_bytes,
                    length=extent.length_bytes,
                ),
            )
    except OSError as error:
        raise input_error(error, claim=source.claim_name, path=source.path) from error
