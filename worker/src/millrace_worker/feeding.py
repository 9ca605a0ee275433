"""The end of a shard: its checkpoint, its count, and the publication of what follows from it.

Each shard that is done publishes the next one of its job, so a job of any size has no more messages in the queue than
its window, and other jobs get their turn. What a shard is to publish stands in the ledger until the broker has it:
a worker may die between any two steps, and whoever gets its message then goes on from there.
"""

from collections.abc import Sequence

from millrace_contracts.ledger import BeginShard
from millrace_contracts.tasks import FinalizeTask, ShardTask
from millrace_worker.checkpoints import write_checkpoint
from millrace_worker.context import Context
from millrace_worker.errors import LedgerUnavailable
from millrace_worker.ledger import ShardCounts
from millrace_worker.logs import get_logger

log = get_logger(__name__)


def finish(task: ShardTask, context: Context, counts: ShardCounts) -> bool:
    """Count a shard whose results are written, and publish what follows; False means that it was counted before."""
    spec, index = task.spec, task.shard.index
    if spec.checkpoint and _goes_on(context, spec.job.uid):
        context.destination(spec).write_checkpoint(index, write_checkpoint(task.shard, counts))
    finished = context.ledger.finish_shard(spec.job.uid, index, counts, epoch=task.epoch)
    if finished.was_last:
        context.publisher.publish_finalize(FinalizeTask(spec=spec))
    elif finished.next_shard is not None:
        _publish(task, context, [finished.next_shard], epoch=finished.epoch)
    elif not finished.counts:
        # Perhaps the second answer to a first call whose answer was lost on the way.
        _publish_what_was_given(task, context)
        if context.ledger.needs_finalize(spec.job.uid):
            context.publisher.publish_finalize(FinalizeTask(spec=spec))
    return finished.counts


def _goes_on(context: Context, uid: str) -> bool:
    """Say whether a checkpoint may be needed: of a job that was stopped or deleted nobody would remove it any more."""
    try:
        return context.ledger.is_active(uid)
    except LedgerUnavailable as unavailable:
        # Just then it is worth most: what Redis loses now is known by the checkpoints alone.
        log.info("checkpoint written without a look at the ledger", uid=uid, why=str(unavailable))
        return True


def publish_again(task: ShardTask, context: Context, verdict: str) -> None:
    """Publish what a shard that is done may not have published, because its worker died."""
    if verdict == BeginShard.DONE_ALL:
        context.publisher.publish_finalize(FinalizeTask(spec=task.spec))
    elif verdict == BeginShard.DONE:
        _publish_what_was_given(task, context)


def _publish_what_was_given(task: ShardTask, context: Context) -> None:
    feed = context.ledger.feed(task.spec.job.uid, task.shard.index)
    if feed is not None:
        _publish(task, context, feed.shards, epoch=feed.epoch)


def _publish(task: ShardTask, context: Context, indices: Sequence[int], *, epoch: int) -> None:
    uid = task.spec.job.uid
    for index in indices:
        shard = context.index.shard(uid, index)
        if shard is None:
            # The job was deleted in this moment; or Redis lost the index, which the operator heals with a new plan.
            log.warning("the next shard is not in the index", job=task.spec.job.name, uid=uid, shard=index)
            return
        context.publisher.publish_shard(ShardTask(spec=task.spec, shard=shard, epoch=epoch))
    context.ledger.fed(uid, task.shard.index)
