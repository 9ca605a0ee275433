"""The worker's settings, read once at start from the environment (prefix MILLRACE_)."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from millrace_contracts.queues import SYSTEM_QUEUE
from millrace_worker.errors import SettingsInvalid


class WorkerSettings(BaseSettings):
    """What a worker, Flower or Beat needs to know; Flower and Beat have no queue of their own."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True)

    broker_url: SecretStr = Field(description="amqp://user:password@host:5672/vhost of RabbitMQ.")
    redis_url: SecretStr = Field(description="redis://:password@host:6379/0 of ledger, results and schedules.")
    queue: str = Field(default=SYSTEM_QUEUE, min_length=1, description="The only queue that this worker consumes.")
    system_queue: str = Field(default=SYSTEM_QUEUE, min_length=1, description="Where finalize tasks go.")
    triton_url: str = Field(default="", description="host:8001 or dns:///host:8001; empty for pools without Triton.")
    claims_root: Path = Field(default=Path("/var/lib/millrace/claims"), description="Folder of the mounted claims.")
    concurrency: int = Field(default=1, ge=1, le=1000, description="Task slots, each a process.")
    task_time_limit_seconds: int = Field(default=900, ge=10, description="A task that takes longer is killed.")
    task_soft_time_limit_seconds: int = Field(default=840, ge=5, description="A task that takes longer gives up.")
    cache_url: SecretStr | None = Field(
        default=None, description="redis://:password@host:6379/0 of cached predictions; without it none are kept."
    )
    task_modules: str = Field(
        default="", description="Modules with more Celery tasks, comma-separated: a team's own, from its own image."
    )
    beat_schedule_file: Path | None = Field(default=None, description="JSON list of what Beat sends, and when.")
    # /tmp is a pod's own.
    state_dir: Path = Field(default=Path("/tmp/millrace"), description="Files that probes look at.")  # noqa: S108 - in a pod
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        if self.task_soft_time_limit_seconds >= self.task_time_limit_seconds:
            raise ValueError("TASK_SOFT_TIME_LIMIT_SECONDS must be less than TASK_TIME_LIMIT_SECONDS")
        return self


def read_settings() -> WorkerSettings:
    """Read the environment, or say which variable is missing or wrong without showing any value."""
    try:
        return WorkerSettings()
    except ValidationError as error:
        problems = "; ".join(
            f"MILLRACE_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        # The cause holds the values, passwords among them, so it is left out on purpose.
        raise SettingsInvalid(f"the environment of this process is not usable: {problems}") from None
