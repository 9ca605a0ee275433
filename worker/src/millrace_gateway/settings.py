"""The gateway's settings: addresses and files from the environment (prefix MILLRACE_), the rest from its config file.

The file is what the chart's `gateway` values become; it holds no secret. Keys are in a file of their own.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, SettingsConfigDict

from millrace_contracts.models import TensorDescription
from millrace_contracts.predictions import ANSWER_TTL_SECONDS
from millrace_gateway.errors import SettingsInvalid

C = TypeVar("C", bound=BaseModel)


class _FromFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class ModelSettings(_FromFile):
    """One model that callers may ask for."""

    name: str = Field(min_length=1, max_length=256)
    queue: str = Field(min_length=1, description="Queue of the pool that predicts for callers who wait.")
    batch_queue: str = Field(default="", description='Queue for priority "batch"; empty refuses that priority.')
    cache_ttl_seconds: int = Field(default=0, ge=0, le=2_592_000, description="0 caches nothing.")
    max_batch_records: int = Field(default=32, ge=1, le=4096, description="Records that one task gathers at most.")
    version: str = Field(default="", description="Version that is asked for where the caller names none.")
    max_batch_size: int = Field(default=0, ge=0, description="Triton's, where inputs and outputs are given.")
    inputs: tuple[TensorDescription, ...] = ()
    outputs: tuple[TensorDescription, ...] = ()


class OidcSettings(_FromFile):
    """Who signs the tokens that are accepted, and what a token of an administrator holds."""

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks_url: str = Field(default="", description="Empty: the issuer's discovery document names it.")
    admin_claim: str = Field(default="groups=millrace-admins", description='"claim=value", or "claim" that is true.')


class AuthSettings(_FromFile):
    """Who may ask; keys of the keys file are good in every mode but none."""

    mode: Literal["apiKeys", "oidc", "none"] = "apiKeys"
    oidc: OidcSettings | None = None

    @model_validator(mode="after")
    def _oidc_is_described(self) -> Self:
        if self.mode == "oidc" and self.oidc is None:
            raise ValueError("mode oidc needs oidc.issuer and oidc.audience")
        return self


class Config(_FromFile):
    """The config file."""

    models: tuple[ModelSettings, ...] = ()
    pools: tuple[str, ...] = Field(default=(), description="Queues of all pools, for their dead letters.")
    max_wait_milliseconds: float = Field(default=5.0, ge=0.0, le=1000.0)
    max_body_bytes: int = Field(default=8 * 2**20, ge=1024, le=64 * 2**20)
    max_records_per_request: int = Field(default=1000, ge=1, le=4096)
    max_held_records: int = Field(default=20_000, ge=1, description="Records that wait for RabbitMQ, of all callers.")
    answer_ttl_seconds: int = Field(default=ANSWER_TTL_SECONDS, ge=60, le=604_800)
    request_timeout_seconds: int = Field(default=60, ge=1, le=3600, description="Of one request to Triton.")
    auth: AuthSettings = AuthSettings()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"models: {', '.join(twice)} stands there more than once")
        return self

    @cached_property
    def by_name(self) -> Mapping[str, ModelSettings]:
        """The models by name."""
        return {model.name: model for model in self.models}

    @cached_property
    def queues(self) -> tuple[str, ...]:
        """All queues that records go to."""
        return tuple(sorted({queue for model in self.models for queue in (model.queue, model.batch_queue) if queue}))


class Settings(BaseSettings):
    """The environment of the process."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True)

    broker_url: SecretStr = Field(description="amqp://user:password@host:5672/vhost of RabbitMQ.")
    redis_url: SecretStr = Field(description="redis://:password@host:6379/0 of answers and the registry of models.")
    cache_url: SecretStr | None = Field(default=None, description="redis://... of the cache; absent: no cache.")
    gateway_config_file: Path = Field(description="JSON of the chart's gateway values.")
    gateway_keys_file: Path | None = Field(default=None, description="JSON list of {name, sha256, scopes}.")
    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached by its address
    port: int = Field(default=8000, ge=1, le=65_535)
    shutdown_seconds: int = Field(default=30, ge=1, description="What is in flight gets so long to end.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @cached_property
    def config(self) -> Config:
        """The config file, read once."""
        try:
            text = self.gateway_config_file.read_text(encoding="utf-8")
        except OSError as error:
            raise SettingsInvalid(f"MILLRACE_GATEWAY_CONFIG_FILE cannot be read: {error}") from error
        try:
            return Config.model_validate_json(text)
        except ValidationError as error:
            raise SettingsInvalid(f"{self.gateway_config_file} is not usable: {_problems(error)}") from error


def read_settings() -> Settings:
    """Read the environment, or say which variable is missing or wrong without showing any value."""
    try:
        return Settings()
    except ValidationError as error:
        # The cause holds the values, passwords among them, so it is left out on purpose.
        raise SettingsInvalid(f"the environment of this process is not usable: {_problems(error)}") from None


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'the whole'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    )
