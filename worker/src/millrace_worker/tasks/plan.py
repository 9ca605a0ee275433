"""Index a job's input, write the totals, and publish the first window of shards; each that is done brings the next.

May run any number of times, and does then only what is left: the index is written once, what a checkpoint knows as done
is counted and not run again, and what was given out and not confirmed is published again.
"""

from itertools import islice
from typing import Final

from millrace_contracts.tasks import FinalizeTask, PlanTask, ShardTask
from millrace_worker.checkpoints import read_checkpoint
from millrace_worker.context import Context
from millrace_worker.input.index import index_input
from millrace_worker.job_index import Size
from millrace_worker.logs import get_logger
from millrace_worker.storage.destination import Destination

log = get_logger(__name__)

CHECKPOINTS_AT_ONCE: Final = 256
"""Of so many the shards are looked up together."""


def plan(task: PlanTask, context: Context) -> None:
    """Publish what is to be published of the job now, or raise JobImpossible."""
    spec, uid = task.spec, task.spec.job.uid
    if context.ledger.is_planning(uid):
        _plan(task, context)
    else:
        log.info("plan not needed", job=spec.job.name, uid=uid)
    if context.ledger.needs_finalize(uid):
        # Its message was lost, or checkpoints know all shards as done.
        context.publisher.publish_finalize(FinalizeTask(spec=spec))


def _plan(task: PlanTask, context: Context) -> None:
    spec, uid = task.spec, task.spec.job.uid
    size = _measured(task, context)
    destination = context.destination(spec)
    destination.prepare()
    epoch = context.ledger.begin_dispatch(
        uid,
        total=size.records,
        shards_total=size.shards,
        output_uri=destination.uri,
        window=task.window,
        budget=spec.budget,
    )
    if epoch is None:
        return
    if spec.checkpoint:
        _count_checkpoints(task, context, destination, size=size)
    context.publisher.ensure_queue(spec.queue)
    given = context.ledger.give_out(uid, count=task.window, epoch=epoch)
    for shard in context.index.shards(uid, given):
        context.publisher.publish_shard(ShardTask(spec=spec, shard=shard, epoch=epoch))
    context.ledger.end_dispatch(uid, epoch=epoch)
    log.info(
        "plan published",
        job=spec.job.name,
        uid=uid,
        records=size.records,
        shards=size.shards,
        published=len(given),
        queue=spec.queue,
    )


def _measured(task: PlanTask, context: Context) -> Size:
    """Answer how much there is to do; the index is made where there is none."""
    spec, uid = task.spec, task.spec.job.uid
    size = context.index.size(uid)
    if size is None:
        found = index_input(
            task.input, spec.reading, records_per_task=spec.batching.records_per_task, sources=context.sources
        )
        size = context.index.write(
            uid, found.entries, files=found.files, kafka_topic=found.kafka_topic, inline=found.inline
        )
    return size


def _count_checkpoints(task: PlanTask, context: Context, destination: Destination, *, size: Size) -> None:
    """Count the shards that are done by what stands beside their results: Redis lost the ledger in mid-job."""
    uid = task.spec.job.uid
    undone = set(context.ledger.undone(uid, size.shards))
    known = 0
    found = ((index, text) for index, text in destination.read_checkpoints() if index in undone)
    while some := list(islice(found, CHECKPOINTS_AT_ONCE)):
        for shard, (index, text) in zip(context.index.shards(uid, [index for index, _ in some]), some, strict=True):
            counts = read_checkpoint(text, shard)
            if counts is not None and destination.holds(counts.parts):
                # If it is out all the same, its own message publishes the next one.
                context.ledger.finish_shard(uid, index, counts)
                known += 1
    if known:
        log.warning(
            "the ledger of this job was lost; shards that are done were counted by their checkpoints",
            job=task.spec.job.name,
            uid=uid,
            shards=known,
        )
