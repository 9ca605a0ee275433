"""What a bridge is told: its environment (prefix MILLRACE_), and a file with one entry of the chart's `streams`."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, SettingsConfigDict

from millrace_ingest.errors import SettingsInvalid

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
"""What Kafka allows as the name of a topic."""

GUARDED_OPTIONS: Final = frozenset(
    {
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "acks",
        "group.id",
        "group.protocol",
        "partition.assignment.strategy",
        "sasl.password",
        "sasl.username",
    }
)
"""Options of librdkafka on which "at least once" rests, or that belong into other settings."""


class _Entry(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )


class CreateTopics(_Entry):
    """Whether the bridge makes topics that are missing, and how."""

    enabled: bool = False
    partitions: int = Field(default=3, ge=1)
    replication_factor: int = Field(default=1, ge=1)


class Stream(_Entry):
    """One topic, and the task that its records become."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$")
    topic: Name
    group: str = Field(min_length=1, max_length=249)
    task: str = Field(min_length=1)
    queue: str = Field(min_length=1)
    arguments: dict[str, JsonValue] = {}
    """More keyword arguments of the task, beside `batch`."""
    batch_records: int = Field(default=100, ge=1, le=10_000)
    linger_milliseconds: int = Field(default=50, ge=0, le=60_000)
    key_field: str = ""
    """The field of the mapped value that names a record; empty takes the key of the Kafka record."""
    fields: dict[str, str] = {}
    """Field -> where it comes from: a path into the JSON value ("user.id", "items.0"), or $key, $timestamp, $value."""
    value_format: Literal["json"] = "json"
    required: list[str] = []
    """Fields without which a record is of no use."""
    tombstones: Literal["deadLetter", "deliver"] = "deadLetter"
    """What becomes of a record without a value: "deliver" makes it {"deleted": true}."""
    dead_letter_topic: str = ""
    high_water_messages: int = Field(default=1000, ge=1)
    low_water_messages: int = Field(default=500, ge=0)
    start_from: Literal["earliest", "latest"] = "earliest"
    """Where a group begins that has committed nothing yet."""
    create_topics: CreateTopics = CreateTopics()
    consumer: dict[str, str | int | float | bool] = {}
    """More options of librdkafka for reading."""
    producer: dict[str, str | int | float | bool] = {}
    """More options of librdkafka for dead letters."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.low_water_messages >= self.high_water_messages:
            raise ValueError("lowWaterMessages must be less than highWaterMessages")
        if guarded := sorted(GUARDED_OPTIONS & (self.consumer.keys() | self.producer.keys())):
            raise ValueError(f"these options cannot be set here: {', '.join(guarded)}")
        if self.fields and (unknown := sorted({*self.required, self.key_field} - {*self.fields, ""})):
            raise ValueError(f"required or keyField names what `fields` does not make: {', '.join(unknown)}")
        if "batch" in self.arguments:
            raise ValueError("arguments cannot hold `batch`: that is what the records come in")
        if self.topic == self.dead_letters:
            raise ValueError("deadLetterTopic must be another topic")
        return self

    @property
    def dead_letters(self) -> str:
        """Name the topic of what cannot be used."""
        return self.dead_letter_topic or f"{self.topic}.dead"

    @property
    def linger_seconds(self) -> float:
        """How long a batch waits for more records."""
        return self.linger_milliseconds / 1000


class BridgeSettings(BaseSettings):
    """The environment of a bridge; Kafka has variables of its own."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, hide_input_in_errors=True)

    broker_url: SecretStr = Field(description="amqp://user:password@host:5672/vhost of RabbitMQ.")
    ingest_config_file: Path = Field(description="JSON of one entry of the chart's `streams`.")
    ingest_port: int = Field(default=8080, ge=0, le=65535, description="Of /metrics, /healthz and /readyz.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"


def read_settings() -> BridgeSettings:
    """Read the environment, or say which variable is missing or wrong without showing any value."""
    try:
        return BridgeSettings()
    except ValidationError as error:
        # The cause holds the values, passwords among them, so it is left out on purpose.
        raise SettingsInvalid(
            f"the environment of this process is not usable: {_problems(error, 'MILLRACE_')}"
        ) from None


def read_stream(file: Path) -> Stream:
    """Read the stream that this bridge serves."""
    try:
        return Stream.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SettingsInvalid(f"{file} cannot be read ({error.strerror}); set MILLRACE_INGEST_CONFIG_FILE") from error
    except ValidationError as error:
        raise SettingsInvalid(f"{file} does not describe a stream: {_problems(error)}") from error


def _problems(error: ValidationError, prefix: str = "") -> str:
    found = error.errors(include_input=False, include_url=False)
    places = ["".join(f".{part}" for part in problem["loc"])[1:] for problem in found]
    names = [f"{prefix}{place.upper()}" if prefix else place or "stream" for place in places]
    return "; ".join(f"{name}: {problem['msg']}" for name, problem in zip(names, found, strict=True))
