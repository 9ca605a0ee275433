"""What becomes of a message that comes back from the dead-letter queue when its job wants no more."""

from types import SimpleNamespace
from typing import Any

import pytest

from millrace_contracts.inputs import InlineShard, Shard
from millrace_contracts.ledger import Field
from millrace_contracts.outputs import RedisOutput
from millrace_contracts.tasks import JobRef, JobSpec, ModelRef, ShardTask
from millrace_worker import poison
from millrace_worker.tasks.redrive import redrive

TASK = ShardTask(
    spec=JobSpec(
        job=JobRef(namespace="n", name="j", uid="u"), model=ModelRef(name="m"), output=RedisOutput(), queue="q"
    ),
    shard=Shard(index=3, first_line=1, record_count=1, source=InlineShard(records=[{}])),
    redrive=True,
    position=0,
)


@pytest.mark.parametrize(
    ("ledger", "kept"), [({Field.STOP_REASON: "FailureBudgetExceeded"}, ["u:poison:3:0"]), ({}, [])]
)
def test_the_message_of_a_job_that_was_stopped_is_kept_as_long_as_the_job(
    ledger: dict[str, str], kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[str] = []
    monkeypatch.setattr(poison, "publish_dead_letter", lambda *_, task_id, **__: published.append(task_id))
    context: Any = SimpleNamespace(ledger=SimpleNamespace(is_active=lambda _: False, read=lambda _: ledger))
    redrive(TASK, context, lambda _: pytest.fail("predicted"))
    assert kept == published
