"""The operator's settings, read once at start from the environment (prefix MILLRACE_)."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class OperatorSettings(BaseSettings):
    """Where the broker, Redis and the namespaces are, and how often the loops run."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True)

    broker_kind: Literal["rabbitmq", "redis", "sqs"] = Field(
        default="rabbitmq", description="Where the workers of the platform take their tasks from, and plans go to."
    )
    broker_url: SecretStr = Field(
        description="Of that broker: amqp://user:password@host:5672/vhost, redis://:password@host:6379/0 or sqs://."
    )
    broker_metrics_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validate_default=True,
        description="Prometheus endpoints of all RabbitMQ nodes, e.g. http://host:15692, separated by commas.",
    )
    sqs_region: str = Field(default="us-east-1", description="AWS region of the queues, for kind sqs.")
    sqs_tls: bool = Field(default=True, description="False for an SQS-compatible server that speaks plain HTTP.")
    redis_url: SecretStr = Field(description="redis://:password@host:6379/0 of the job ledger.")
    redis_broker_url: SecretStr | None = Field(
        default=None,
        description="redis://:password@host:6379/0 of a Celery broker on Redis; for pools of source Redis.",
    )
    redis_broker_key_prefix: str = Field(
        default="", description="global_keyprefix of the workers' broker_transport_options, where they have one."
    )
    prometheus_url: SecretStr | None = Field(
        default=None,
        description="http://prometheus:9090, with user:password@ if need be; for pools of source Prometheus.",
    )
    namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Namespaces to watch, separated by commas; empty watches the whole cluster."
    )
    pool_loop_seconds: float = Field(default=1.0, ge=0.1, le=60, description="How often all pools are sized.")
    job_loop_seconds: float = Field(default=1.0, ge=0.1, le=60, description="How often all jobs are advanced.")
    idle_seconds: int | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="How long demand must stay lower before pods go, unless the pool says; absent learns it.",
    )
    model_loop_seconds: float = Field(
        default=5.0, ge=0.5, le=300, description="How often the registry of models is shown as ModelVersions."
    )
    model_namespace: str = Field(
        default="", description="Namespace of the ModelVersions; empty takes the operator's own."
    )
    status_interval_seconds: float = Field(default=5.0, ge=0, description="Least time between two writes of counts.")
    resync_seconds: float = Field(
        default=120.0, ge=5, description="How often watched objects are compared with a list."
    )
    broker_timeout_seconds: float = Field(default=2.0, gt=0, description="Limit of one read of the broker.")
    redis_timeout_seconds: float = Field(default=2.0, gt=0, description="Limit of one Redis command.")
    prometheus_timeout_seconds: float = Field(default=2.0, gt=0, description="Limit of one query of Prometheus.")
    prometheus_interval_seconds: float = Field(
        default=5.0,
        ge=0.5,
        le=300,
        description="How often a pool's queries are asked: Prometheus itself scrapes slower.",
    )
    triton_timeout_seconds: float = Field(default=2.0, gt=0, description="Limit of one read of Triton's metrics.")
    kubernetes_timeout_seconds: float = Field(default=5.0, gt=0, description="Limit of one call of the Kubernetes API.")
    publish_timeout_seconds: float = Field(default=5.0, gt=0, description="Limit of one publish with its confirm.")
    system_queue: str = "system"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    metrics_port: int = Field(default=8080, ge=1, le=65_535)
    liveness_port: int = Field(default=8081, ge=1, le=65_535)

    @model_validator(mode="before")
    @classmethod
    def _the_broker_is_a_source(cls, values: object) -> object:
        """On kind redis the platform's own broker is what pools of source Redis read."""
        if isinstance(values, dict) and values.get("broker_kind") == "redis" and not values.get("redis_broker_url"):
            return values | {"redis_broker_url": values.get("broker_url")}
        return values

    @field_validator("redis_broker_url", "prometheus_url", mode="before")
    @classmethod
    def _blank_is_absent(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("broker_metrics_urls", "namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("broker_metrics_urls")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not value and info.data.get("broker_kind") == "rabbitmq":
            raise ValueError("name at least one endpoint, e.g. http://rabbitmq:15692")
        return value
