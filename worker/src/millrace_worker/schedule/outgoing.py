"""What a tick sends. The same tick always gives the same task id, run id and name of a job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace_contracts.pipelines import RunPipeline
from millrace_contracts.queues import SYSTEM_QUEUE
from millrace_contracts.schedules import ScheduleEntry, SubmitJobTask, run_id
from millrace_contracts.tasks import RUN_PIPELINE, SUBMIT_JOB

if TYPE_CHECKING:
    from millrace_contracts.payload import Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A task to be published."""

    task: str
    kwargs: Mapping[str, Any]
    queue: str
    task_id: str
    may_be_sent_twice: bool
    """Whoever receives it knows it again by its name."""


def outgoing(entry: ScheduleEntry, tick: float, *, system_queue: str = SYSTEM_QUEUE) -> Outgoing:
    """Say what the entry's tick sends."""
    name = run_id(entry.name, int(tick))
    if entry.task is not None:
        task = entry.task
        return Outgoing(task=task.name, kwargs=task.kwargs, queue=task.queue, task_id=name, may_be_sent_twice=False)
    payload: Payload
    if entry.pipeline is not None:
        kind = RUN_PIPELINE
        payload = RunPipeline(
            pipeline=entry.pipeline.name,
            run_id=name,
            parameters=entry.pipeline.parameters,
            requested_by=f"schedule {entry.name}",
        )
    elif entry.job_template is not None:
        kind = SUBMIT_JOB
        payload = SubmitJobTask(schedule=entry.name, template=entry.job_template, tick=int(tick))
    else:
        raise AssertionError("an entry has one target, see ScheduleEntry")
    return Outgoing(
        task=kind,
        kwargs={"payload": payload.model_dump(mode="json")},
        queue=system_queue,
        task_id=name,
        may_be_sent_twice=True,
    )
