"""Predict records that came back from the dead-letter queue: they are counted already, and move to the succeeded."""

from collections.abc import Callable, Sequence
from typing import Final

from millrace_contracts import ledger as contract
from millrace_contracts.errors import RecordError
from millrace_contracts.tasks import FinalizeTask, ShardTask
from millrace_worker import poison
from millrace_worker.context import Context
from millrace_worker.errors import Unavailable
from millrace_worker.inference.model import TensorSpec
from millrace_worker.inference.shard import ShardOutcome
from millrace_worker.ledger import translated
from millrace_worker.logs import get_logger

MAX_STARTS: Final = 2
"""So often a redriven message may end its worker before it goes back to the dead-letter queue."""

Predict = Callable[[ShardTask], tuple[ShardOutcome, Sequence[TensorSpec]]]

log = get_logger(__name__)


def redrive(task: ShardTask, context: Context, predict: Predict) -> None:
    """Predict one record of a shard, or all of them, and write an extra part; raises Unavailable."""
    spec, uid, index = task.spec, task.spec.job.uid, task.shard.index
    about = {"job": spec.job.name, "uid": uid, "shard": index, "position": task.position}
    if not context.ledger.is_active(uid):
        if context.ledger.read(uid):
            _put_back(task, context)
            log.warning("redriven message goes back to the dead-letter queue: its job was stopped", **about)
        else:
            log.warning("redriven message dropped: its job was deleted", **about)
        return
    if _begin(task, context) > MAX_STARTS:
        _put_back(task, context)
        _end(task, context)
        log.warning("redriven message goes back to the dead-letter queue: it ended its workers again", **about)
        return
    try:
        _work_off(task, context, predict)
    except Unavailable:
        # The worker lives, and the message comes again: that is no start that ended in nothing.
        _end(task, context)
        raise
    _end(task, context)


def _work_off(task: ShardTask, context: Context, predict: Predict) -> None:
    spec, uid, index = task.spec, task.spec.job.uid, task.shard.index
    outcome, outputs = predict(task)
    destination = context.destination(spec)
    parts = destination.write_redriven(index, task.position, outcome.results, outcome.failures, outputs=outputs)
    outcome = outcome.without(destination.refused)
    positions = range(task.shard.record_count) if task.position is None else [task.position]
    succeeded = [position for i, position in enumerate(positions) if i not in outcome.failed]
    failed = [position for i, position in enumerate(positions) if i in outcome.failed]
    moved = context.ledger.redriven(
        uid, index, code=RecordError.POISON_MESSAGE, succeeded=succeeded, failed=failed, parts=parts
    )
    if moved:
        context.publisher.publish_finalize(FinalizeTask(spec=spec))
    log.info("shard redriven", job=spec.job.name, uid=uid, shard=index, succeeded=len(succeeded), counted=moved)


def _put_back(task: ShardTask, context: Context) -> None:
    place = "" if task.position is None else f":{task.position}"
    task_id = f"{task.spec.job.uid}:poison:{task.shard.index}{place}"
    poison.publish_dead_letter(task, context, task_id=task_id, failure=None)


def _begin(task: ShardTask, context: Context) -> int:
    """Count the starts of a redriven message, apart from those of its shard."""
    with translated():
        return int(context.redis.hincrby(contract.starts_key(task.spec.job.uid), _field(task), 1))


def _end(task: ShardTask, context: Context) -> None:
    with translated():
        context.redis.hdel(contract.starts_key(task.spec.job.uid), _field(task))


def _field(task: ShardTask) -> str:
    return f"redrive:{task.shard.index}:{'all' if task.position is None else task.position}"
