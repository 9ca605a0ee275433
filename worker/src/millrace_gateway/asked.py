"""What a caller asks for, read from JSON by hand: records are many and large, and each is looked at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from millrace_contracts.predictions import Parameters
from millrace_gateway.bodies import as_json
from millrace_gateway.errors import BodyTooLarge, NotFound, RequestInvalid
from millrace_gateway.gather import MAX_TASK_BYTES
from millrace_gateway.settings import Config, ModelSettings

FIELDS: Final = frozenset({"inputs", "records", "parameters", "priority", "version", "deadlineSeconds", "cache"})
MAX_WAIT_SECONDS: Final = 60.0
MAX_DEADLINE_SECONDS: Final = 604_800.0


@dataclass(frozen=True, slots=True)
class Record:
    """One record, as read and as it will stand in a message."""

    value: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request for predictions."""

    model: ModelSettings
    records: tuple[Record, ...]
    parameters: Parameters
    queue: str
    version: str = ""
    deadline: float | None = None
    """Seconds since the epoch."""
    may_use_cache: bool = True
    trace: str = ""


def find_model(name: str, config: Config) -> ModelSettings:
    """Find a model that callers may ask for."""
    model = config.by_name.get(name)
    if model is None:
        known = ", ".join(sorted(config.by_name)) or "none"
        raise NotFound(f'there is no model "{name}" here; there is: {known}')
    return model


def read_asked(body: Any, model: ModelSettings, config: Config, *, now: float, trace: str) -> Asked:
    """Check the body of a request for predictions; raises RequestInvalid naming the field."""
    if not isinstance(body, dict):
        raise RequestInvalid('the body must be an object with "inputs" or "records"')
    unknown = sorted(body.keys() - FIELDS)
    if unknown:
        raise RequestInvalid(f'there is no field "{unknown[0]}"; the fields are: {", ".join(sorted(FIELDS))}')
    deadline_seconds = _number(body, "deadlineSeconds", most=MAX_DEADLINE_SECONDS)
    return Asked(
        model=model,
        records=_records(body, config.max_records_per_request),
        parameters=read_parameters(body.get("parameters")),
        queue=queue_for(model, body.get("priority", "realtime")),
        version=_version(body, model),
        deadline=None if deadline_seconds is None else now + deadline_seconds,
        may_use_cache=_flag(body, "cache"),
        trace=trace,
    )


def read_wait(text: str | None) -> float:
    """Read the query parameter `wait`: seconds, 0 where it is missing."""
    if text is None:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= MAX_WAIT_SECONDS:
        raise RequestInvalid(f"wait must be a number of seconds from 0 to {MAX_WAIT_SECONDS:g}")
    return seconds


def read_parameters(value: Any) -> Parameters:
    """Check parameters of a request."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestInvalid('"parameters" must be an object of booleans, numbers and strings')
    for name, each in value.items():
        if not isinstance(each, bool | int | float | str):
            raise RequestInvalid(f'"parameters.{name}" must be a boolean, a number or a string')
    _written(value, "parameters")
    return value


def to_record(value: Mapping[str, Any], where: str) -> Record:
    """Make a record of an object of JSON values, or say what of it no message can carry."""
    return Record(value, _written(value, where))


def queue_for(model: ModelSettings, priority: Any) -> str:
    """Choose the queue by priority."""
    if priority == "realtime":
        return model.queue
    if priority != "batch":
        raise RequestInvalid('"priority" must be "realtime" or "batch"')
    if not model.batch_queue:
        raise RequestInvalid(f'"priority": model "{model.name}" has no queue for priority "batch"; leave it out')
    return model.batch_queue


def _records(body: Mapping[str, Any], most: int) -> tuple[Record, ...]:
    if ("inputs" in body) == ("records" in body):
        raise RequestInvalid('give exactly one of "inputs" (one record) and "records" (a list of them)')
    if "inputs" in body:
        if not isinstance(body["inputs"], dict):
            raise RequestInvalid('"inputs" must be an object: the inputs of the model by name')
        return (to_record(body["inputs"], "inputs"),)
    records = body["records"]
    if not isinstance(records, list) or not records:
        raise RequestInvalid('"records" must be a list of at least one object')
    if len(records) > most:
        raise RequestInvalid(f'"records" holds {len(records)} records, and {most} are the limit; send several requests')
    for i, record in enumerate(records):
        if not isinstance(record, dict):
            raise RequestInvalid(f'"records[{i}]" must be an object: the inputs of the model by name')
    return tuple(to_record(record, f"records[{i}]") for i, record in enumerate(records))


def _written(value: Any, where: str) -> str:
    try:
        text = as_json(value)
    except (ValueError, RecursionError) as error:
        raise RequestInvalid(f'"{where}" holds a value that JSON cannot carry: {error}') from error
    if len(text) > MAX_TASK_BYTES:
        raise BodyTooLarge(f'"{where}" is larger than {MAX_TASK_BYTES} bytes of JSON; submit a PredictionJob instead')
    return text


def _version(body: Mapping[str, Any], model: ModelSettings) -> str:
    version = body.get("version", model.version)
    if not isinstance(version, str) or (version and not version.isdigit()):
        raise RequestInvalid('"version" must be a version of the model as a string of digits')
    return version


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, True)
    if not isinstance(value, bool):
        raise RequestInvalid(f'"{name}" must be true or false')
    return value


def _number(body: Mapping[str, Any], name: str, *, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise RequestInvalid(f'"{name}" must be a number above 0 and up to {most:g}')
    return float(value)
