"""Single predictions, as the gateway asks for them and any other AMQP client may: the task, its answer, and the cache.

One task carries the records of many callers, and each record has an answer of its own: a JSON document in Redis under
`prediction_key`, replaced by the worker once and for all, and published on `channel` for whoever waits.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from millrace_contracts.payload import Payload
from millrace_contracts.tasks import ModelRef

PREDICT: Final = "millrace.predict"
PREDICT_EVENTS: Final = "millrace.predict_events"

ANSWER_TTL_SECONDS: Final = 3600
"""How long an answer is kept where a request does not say."""

Parameters = Mapping[str, bool | int | float | str]


class PredictItem(Payload):
    """One record of one caller."""

    id: str = Field(min_length=1, max_length=128)
    record: dict[str, Any]
    """Inputs of the model by name, as in a PredictionJob."""
    trace: str = ""
    """W3C traceparent of the caller, if it sent one."""
    deadline: float | None = None
    """Of this record alone: seconds since the epoch; after it its caller does not want the answer."""


class KafkaAnswers(Payload):
    """Answers as Kafka messages too: the id is the key, the `Prediction` as JSON the value."""

    topic: str = Field(min_length=1, max_length=249)


class PredictTask(Payload):
    """Predict the records of many callers with one model."""

    model: ModelRef
    items: list[PredictItem] = Field(min_length=1, max_length=4096)
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict)
    request_timeout_seconds: int = Field(default=60, ge=1, le=3600)
    deadline: float | None = None
    """Seconds since the epoch; after it nobody wants the answer, and the worker computes none."""
    channel: str = ""
    """Redis channel on which each answer is published; empty publishes none."""
    answer_ttl_seconds: int = Field(default=ANSWER_TTL_SECONDS, ge=1, le=604_800)
    cache_ttl_seconds: int = Field(default=0, ge=0, le=2_592_000)
    """0 keeps answers out of the cache."""
    kafka: KafkaAnswers | None = None
    reply_to: str = Field(default="", max_length=255)
    """RabbitMQ queue to which each answer is sent as well; the AMQP property reply_to of the message does the same."""


class EventPredictions(Payload):
    """How to predict the events of a stream: keyword argument `predict` of PREDICT_EVENTS, beside its `batch`.

    The value of an event is a record, and its answer has the id topic-partition-offset.
    """

    model: ModelRef
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict)
    request_timeout_seconds: int = Field(default=60, ge=1, le=3600)
    answer_ttl_seconds: int = Field(default=ANSWER_TTL_SECONDS, ge=1, le=604_800)
    kafka: KafkaAnswers | None = None


class PredictionState(StrEnum):
    """What has become of a prediction; all but the first are final."""

    PENDING = "Pending"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class PredictionError(StrEnum):
    """Why a prediction failed. Codes of RecordError that can befall one record, and others of its own."""

    INVALID_RECORD = "InvalidRecord"
    REJECTED_BY_MODEL = "RejectedByModel"
    INFERENCE_FAILED = "InferenceFailed"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_INCOMPATIBLE = "ModelIncompatible"
    """The model is decoupled or needs sequences: it does not give one answer to one record."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    WORKER_LOST = "WorkerLost"


class PredictionFailure(BaseModel):
    """Why there are no outputs."""

    model_config = ConfigDict(frozen=True)

    code: PredictionError
    message: str


class Prediction(BaseModel):
    """The answer to one record, as Redis keeps it, the channel brings it and the gateway shows it."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: PredictionState
    model: str
    model_version: str = ""
    """The version that answered."""
    outputs: dict[str, Any] | None = None
    error: PredictionFailure | None = None
    cached: bool = False
    accepted_at: float
    """Seconds since the epoch."""
    finished_at: float | None = None
    channel: str = ""
    """Where the answer will be published while it is pending."""
    same_as: str = ""
    """The prediction whose answer will be this one's too, while it is pending: equal records are computed once."""

    @property
    def is_final(self) -> bool:
        """Say whether it will not change any more."""
        return self.state != PredictionState.PENDING


def prediction_key(prediction_id: str) -> str:
    """Redis string: the Prediction as JSON, gone after its time to live."""
    return f"millrace:prediction:{prediction_id}"


SETTLE_SCRIPT: Final = """
local known = redis.call('GET', KEYS[1])
if known and cjson.decode(known).state ~= 'Pending' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[1]) end
return 1
"""
"""Write a final answer unless there is one: KEYS prediction; ARGV Prediction as JSON, seconds to live, channel or "".

Answers 1 if this was the first. So a task that is delivered twice, or a prediction that was cancelled, changes nothing.
"""


def canonical_json(value: Any) -> str:
    """Write a JSON value so that equal values give equal text: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: it holds a NaN or an infinite number, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def cache_key(model: str, version: str, record: Mapping[str, Any], parameters: Parameters) -> str:
    """Name the cache entry of a record: SHA-256 over model, resolved version, inputs and parameters.

    Raises:
        ValueError: the record cannot be JSON, or the version is not known: such an entry could answer for another.
    """
    if not version:
        raise ValueError("a cache entry needs the version of the model that answered")
    text = canonical_json([model, version, record, dict(parameters)])
    return f"millrace:cache:{hashlib.sha256(text.encode()).hexdigest()}"


class CachedAnswer(BaseModel):
    """What stands under a cache key."""

    model_config = ConfigDict(frozen=True)

    model_version: str
    outputs: dict[str, Any]


def lease_key(key: str) -> str:
    """Redis string that one replica holds while it computes what `key` will cache; the others wait for its answer."""
    return f"{key}:computing"
