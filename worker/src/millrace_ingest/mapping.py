"""From the bytes of a Kafka record to the JSON of a `StreamRecord`, or to the reason why it is of no use. Pure.

The hot path of the bridge: it writes by hand what pydantic would write, and a test holds the two together.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from millrace_contracts.nesting import MAX_NESTING, is_too_deep

MAX_LEVELS: Final = MAX_NESTING // 2
"""Of a value; the task around it adds some."""

MAX_RECORD_BYTES: Final = 1024 * 1024 - 4096
"""Of one record in a message of 1 MiB; what surrounds it takes a few hundred bytes."""

ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """One Kafka record as it came."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a record cannot be delivered: a sentence for people, without the record's data."""

    reason: str


Extractor = Callable[[Any, Raw], Any]


class _Refused(Exception):  # noqa: N818 - it says what happened
    """Carries a reason to the one place that makes it an answer."""


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"the value holds {name}, which JSON does not know")


_decode: Final = json.JSONDecoder(parse_constant=_no_constant).decode
_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class Mapper:
    """Makes records as one stream wants them."""

    def __init__(
        self,
        *,
        fields: Mapping[str, str],
        required: Sequence[str] = (),
        key_field: str = "",
        delivers_tombstones: bool = False,
    ) -> None:
        self._extractors = [(name, _extractor(source)) for name, source in fields.items()]
        self._required = tuple(required)
        self._key_field = key_field
        self._delivers_tombstones = delivers_tombstones

    def map(self, raw: Raw) -> bytes | Unusable:
        """Answer the JSON of a `StreamRecord`, or why there is none; never raises."""
        try:
            return self._mapped(raw)
        except _Refused as refusal:
            return Unusable(str(refusal))

    def _mapped(self, raw: Raw) -> bytes:
        value = self._value(raw)
        record = {"offset": raw.offset, "key": self._key(raw, value), "timestamp_ms": raw.timestamp_ms, "value": value}
        try:
            encoded = _encode(record).encode()
        except (ValueError, RecursionError) as error:
            raise _Refused(f"the value is not JSON that can be passed on ({type(error).__name__})") from error
        if len(encoded) > MAX_RECORD_BYTES:
            raise _Refused(
                f"the record takes {len(encoded)} bytes as a task's argument; at most {MAX_RECORD_BYTES} fit"
            )
        return encoded

    def _value(self, raw: Raw) -> dict[str, Any]:
        if raw.value is None:
            if self._delivers_tombstones:
                return {"deleted": True}
            raise _Refused("the record has no value")
        parsed = _parsed(raw.value)
        if self._extractors:
            made = ((name, extract(parsed, raw)) for name, extract in self._extractors)
            value = {name: found for name, found in made if found is not ABSENT}
        elif isinstance(parsed, dict):
            value = parsed
        else:
            raise _Refused("the value is not a JSON object")
        missing = [name for name in self._required if value.get(name) is None]
        if missing:
            raise _Refused(f"required fields are missing: {', '.join(missing)}")
        return value

    def _key(self, raw: Raw, value: Mapping[str, Any]) -> str | None:
        if not self._key_field or raw.value is None:
            return _text(raw.key)
        key = value.get(self._key_field)
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise _Refused(f"field {self._key_field} names the record and is neither text nor a whole number")
        return str(key)


def _parsed(value: bytes) -> Any:
    if is_too_deep(value, levels=MAX_LEVELS):
        raise _Refused(f"the value is nested deeper than {MAX_LEVELS} levels")
    try:
        return _decode(value.decode())
    except (ValueError, RecursionError) as error:
        raise _Refused(f"the value is not JSON ({type(error).__name__})") from error


def _text(key: bytes | None) -> str | None:
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError as error:
        raise _Refused("the key is not UTF-8 text; set keyField to take it from the value") from error


def _extractor(source: str) -> Extractor:
    if source == "$key":
        return lambda _, raw: _text(raw.key)
    if source == "$timestamp":
        return lambda _, raw: raw.timestamp_ms
    if source == "$value":
        return lambda parsed, _: parsed
    path = [int(part) if part.isdecimal() else part for part in source.split(".")]
    return lambda parsed, _: _follow(parsed, path)


def _follow(value: Any, path: Sequence[str | int]) -> Any:
    """Walk into objects by name and into lists by position; ABSENT where the path ends early."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(str(part), ABSENT)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return ABSENT
    return value
