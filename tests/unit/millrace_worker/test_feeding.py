"""What a shard leaves for the case that the ledger is lost, and when it leaves nothing."""

from types import SimpleNamespace
from typing import Any

import pytest

from millrace_contracts.inputs import InlineShard, Shard
from millrace_contracts.outputs import RedisOutput
from millrace_contracts.tasks import JobRef, JobSpec, ModelRef, ShardTask
from millrace_worker.errors import LedgerUnavailable
from millrace_worker.feeding import finish
from millrace_worker.ledger import Finished, ShardCounts

TASK = ShardTask(
    spec=JobSpec(
        job=JobRef(namespace="n", name="j", uid="u"), model=ModelRef(name="m"), output=RedisOutput(), queue="q"
    ),
    shard=Shard(index=3, first_line=1, record_count=1, source=InlineShard(records=[{}])),
)


def checkpoints_of(is_active: Any) -> list[int]:
    """Finish a shard and answer which checkpoints it wrote."""
    written: list[int] = []
    counted = Finished(counts=True, was_last=False, next_shard=None, epoch=0)
    context: Any = SimpleNamespace(
        destination=lambda _: SimpleNamespace(write_checkpoint=lambda index, _: written.append(index)),
        ledger=SimpleNamespace(is_active=is_active, finish_shard=lambda *_, **__: counted),
    )
    assert finish(TASK, context, ShardCounts(planned=1, succeeded=1, failed=0))
    return written


@pytest.mark.parametrize(("is_active", "written"), [(True, [3]), (False, [])])
def test_a_shard_leaves_a_checkpoint_only_while_its_job_goes_on(is_active: bool, written: list[int]) -> None:  # noqa: FBT001 - a parameter of the test
    assert written == checkpoints_of(lambda _: is_active)


def test_a_shard_leaves_a_checkpoint_when_nobody_can_say_whether_its_job_goes_on() -> None:
    def away(_: str) -> bool:
        raise LedgerUnavailable("Redis is away")

    assert [3] == checkpoints_of(away)
