"""A schedule whose tasks or jobs have no pool says so; what is not known is no reason to."""

from typing import Any

import pytest

from millrace_contracts.schedules import ScheduleEntry
from millrace_worker.schedule.served import hint

POOLS = {"digits-tasks": "digits", "churn": "churn"}


def entry(**target: Any) -> ScheduleEntry:
    return ScheduleEntry.model_validate({"name": "nightly", "everySeconds": 3600, **target})


def job_for(pool: str) -> dict[str, Any]:
    return {"metadata": {"name": "scores"}, "spec": {"workerPoolRef": {"name": pool}}}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            {"task": {"name": "a.b", "queue": "reports"}},
            'no WorkerPool has the queue "reports" (there are churn, digits-tasks)',
        ),
        ({"jobTemplate": job_for("digit")}, 'there is no WorkerPool "digit" (there are churn, digits)'),
        ({"jobTemplate": {"metadata": {"name": "scores"}, "spec": {}}}, 'there is no WorkerPool "None"'),
    ],
)
def test_what_no_pool_is_there_for_is_named(target: dict[str, Any], words: str) -> None:
    assert words in hint(entry(**target), POOLS, system_queue="system")
    assert not hint(entry(**target), {}, system_queue="system")


@pytest.mark.parametrize(
    "target",
    [
        {"task": {"name": "a.b", "queue": "churn"}},
        {"task": {"name": "a.b", "queue": "system"}},
        {"jobTemplate": job_for("digits")},
        {"pipeline": {"name": "recommender"}},
    ],
)
def test_what_a_pool_is_there_for_needs_no_hint(target: dict[str, Any]) -> None:
    assert not hint(entry(**target), POOLS, system_queue="system")
