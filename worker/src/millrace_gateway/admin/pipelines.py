"""Routes of the pipelines: start a run."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict, Field

from millrace_contracts.pipelines import RunPipeline
from millrace_contracts.queues import SYSTEM_QUEUE
from millrace_contracts.tasks import RUN_PIPELINE
from millrace_contracts.wire import task_message
from millrace_gateway.admin.services import Services

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


@router.post("/{name}/runs", status_code=status.HTTP_202_ACCEPTED)
async def run(
    services: Services, name: Annotated[str, Path(min_length=1, max_length=253)], wanted: NewRun
) -> dict[str, Any]:
    """Start a run. An unknown pipeline, or one that runs already, is told by the workers: see the model's versions."""
    run_id = wanted.run_id or f"manual-{uuid.uuid4().hex[:12]}"
    payload = RunPipeline(pipeline=name, run_id=run_id, parameters=wanted.parameters, requested_by="gateway")
    message = task_message(RUN_PIPELINE, task_id=run_id, kwargs={"payload": payload.model_dump(mode="json")})
    await services.broker.publish(message, SYSTEM_QUEUE)
    return {"pipeline": name, "runId": run_id}
