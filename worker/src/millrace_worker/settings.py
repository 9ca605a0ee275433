"""The worker's settings, read once at start from the environment (prefix MILLRACE_)."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from millrace_contracts.queues import SYSTEM_QUEUE
from millrace_worker.broker.kinds import BrokerKind, ResultBackendKind, refusals
from millrace_worker.errors import SettingsInvalid


class WorkerSettings(BaseSettings):
    """What a worker, Flower or Beat needs to know; Flower and Beat have no queue of their own."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True)

    broker_kind: BrokerKind = Field(default=BrokerKind.RABBITMQ, description="What carries the tasks.")
    broker_url: SecretStr = Field(description="amqp://user:password@host:5672/vhost of RabbitMQ.")
    sqs_region: str = Field(default="us-east-1", min_length=1, description="Of an SQS broker.")
    sqs_tls: bool = Field(default=True, description="False for a server of SQS's protocol without TLS.")
    visibility_timeout_seconds: int = Field(
        default=0, ge=0, le=43_200, description="Redis and SQS: when an unacked task comes again; 0: two minutes late."
    )
    result_backend_kind: ResultBackendKind = Field(
        default=ResultBackendKind.REDIS, description="What keeps the results of users' tasks."
    )
    result_backend_url: SecretStr | None = Field(
        default=None, description="Where it is; for redis without it REDIS_URL, for rpc there is none."
    )
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
    notification_secrets_dir: Path | None = Field(
        default=None, description="Folder of the secrets that sign webhooks, a file each; for the system pool."
    )
    task_modules: str = Field(
        default="", description="Modules with more Celery tasks, comma-separated: a team's own, from its own image."
    )
    beat_schedule_file: Path | None = Field(default=None, description="JSON list of what Beat sends, and when.")
    pipelines_file: Path | None = Field(default=None, description="JSON list of the pipelines; for the system pool.")
    pipeline_lease_seconds: float = Field(
        default=20.0, ge=1, le=600, description="After a worker died with a pipeline's step, another waits so long."
    )
    # /tmp is a pod's own.
    state_dir: Path = Field(default=Path("/tmp/millrace"), description="Files that probes look at.")  # noqa: S108 - in a pod
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        if self.task_soft_time_limit_seconds >= self.task_time_limit_seconds:
            raise ValueError("TASK_SOFT_TIME_LIMIT_SECONDS must be less than TASK_TIME_LIMIT_SECONDS")
        return self

    @model_validator(mode="after")
    def _broker_and_results_fit(self) -> Self:
        problems = refusals(
            broker=self.broker_kind,
            broker_url=self.broker_url.get_secret_value(),
            results=self.result_backend_kind,
            results_url=self.result_url,
            has_pipelines=self.pipelines_file is not None,
        )
        for problem in problems:
            raise ValueError(problem)
        if 0 < self.visibility_timeout_seconds <= self.task_time_limit_seconds:
            raise ValueError("VISIBILITY_TIMEOUT_SECONDS must be more than TASK_TIME_LIMIT_SECONDS")
        return self

    @property
    def result_url(self) -> str:
        """Where results are kept; empty when they come back through the broker."""
        if self.result_backend_url is not None:
            return self.result_backend_url.get_secret_value()
        return self.redis_url.get_secret_value() if self.result_backend_kind is ResultBackendKind.REDIS else ""


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
