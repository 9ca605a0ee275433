"""Routes of the pipelines: what became of their runs, and start one."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict, Field
from redis import RedisError

from millrace_contracts.pipelines import PIPELINES_KEY, PipelineRun, RunPipeline, run_key, runs_key
from millrace_contracts.queues import SYSTEM_QUEUE
from millrace_contracts.tasks import RUN_PIPELINE
from millrace_contracts.wire import task_message
from millrace_gateway.admin.services import AdminServices, Services
from millrace_gateway.errors import NotFound, Unavailable

Name = Annotated[str, Path(min_length=1, max_length=253, description="Name of the pipeline.")]

router = APIRouter(prefix="/v1/pipelines", tags=["pipelines"])


class NewRun(BaseModel):
    """What is asked of a run."""

    model_config = ConfigDict(extra="forbid")

    parameters: dict[str, Any] = Field(default_factory=dict, description="Replace the pipeline's own, one by one.")
    run_id: str = Field(
        default="",
        alias="runId",
        pattern=r"^[a-z0-9-]{0,63}$",
        description="Name of the run; the same name twice is one run. Absent: a new one.",
    )


@router.get("")
def list_pipelines(services: Services) -> dict[str, Any]:
    """List the pipelines that ever ran, each with its last run."""
    try:
        names: Any = services.redis.smembers(PIPELINES_KEY)
        last = {name: _read_runs(services, name, most=1) for name in sorted(names)}
    except RedisError as error:
        raise Unavailable("Redis does not answer now; try again later") from error
    return {"items": [{"pipeline": name, "latest": runs[0] if runs else None} for name, runs in last.items()]}


@router.get("/{name}/runs")
def list_runs(services: Services, name: Name) -> dict[str, Any]:
    """List the last runs of a pipeline, the newest first, with how far each came and why."""
    try:
        runs = _read_runs(services, name, most=None)
        is_known = services.redis.sismember(PIPELINES_KEY, name)
    except RedisError as error:
        raise Unavailable("Redis does not answer now; try again later") from error
    if not runs and not is_known:
        raise NotFound(
            f"pipeline {name!r} has never run; `millrace pipelines run {name}` starts it, if it is in the values"
        )
    return {"pipeline": name, "items": runs}


@router.post("/{name}/runs", status_code=status.HTTP_202_ACCEPTED)
async def run(services: Services, name: Name, wanted: NewRun) -> dict[str, Any]:
    """Start a run. That a pipeline is not known, or runs already, the workers say: see its runs."""
    run_id = wanted.run_id or f"manual-{uuid.uuid4().hex[:12]}"
    payload = RunPipeline(pipeline=name, run_id=run_id, parameters=wanted.parameters, requested_by="gateway")
    message = task_message(RUN_PIPELINE, task_id=run_id, kwargs={"payload": payload.model_dump(mode="json")})
    await services.broker.publish(message, SYSTEM_QUEUE)
    return {"pipeline": name, "runId": run_id}


def _read_runs(services: AdminServices, name: str, *, most: int | None) -> list[dict[str, Any]]:
    ids: Any = services.redis.lrange(runs_key(name), 0, -1 if most is None else most - 1)
    pipe = services.redis.pipeline(transaction=False)
    for run_id in ids:
        pipe.hgetall(run_key(name, run_id))
    # A run whose time is over is still in the list, without its fields.
    return [PipelineRun.model_validate(fields).model_dump(mode="json") for fields in pipe.execute() if fields]
