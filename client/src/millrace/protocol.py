"""What is asked of the gateway and how its answers are understood: the part that both clients share, without I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from millrace.errors import MillraceError, NotFound, Refused, Unauthorized, Unavailable, UnexpectedAnswer
from millrace.predictions import Prediction, PredictOptions, Record

LONGEST_WAIT_SECONDS: Final = 60.0
"""The gateway holds a request no longer than this; whoever wants to wait longer asks again."""

TOO_LATE: Final = "Conflict"
"""The gateway's code for a prediction that is final already."""

_OPTION_NAMES: Final = {"deadline_seconds": "deadlineSeconds"}
_UNAUTHORIZED: Final = frozenset({401, 403})
_LATER: Final = frozenset({429, 502, 503, 504})
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_OURS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request."""

    method: str
    path: str
    params: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    body: Any = None
    waits_seconds: float = 0.0
    """How long the gateway may hold the request on purpose."""

    @property
    def is_repeatable(self) -> bool:
        """Say whether it may be sent again when it is not known whether it arrived."""
        return self.method != "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    retry_after: str | None
    body: Any
    """JSON; None where it is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often the client asks again when the gateway has no room (429, 503) or cannot be reached."""

    retries: int = 4
    first_delay_seconds: float = 0.2
    longest_delay_seconds: float = 20.0
    """A Retry-After that is longer is not waited for: the caller hears of it."""

    def delay_seconds(self, attempt: int, *, retry_after_seconds: float | None, chance: float) -> float | None:
        """Answer how long to wait before asking again; None gives up.

        `attempt` counts from 0; `chance`, between 0 and 1, spreads those who were refused together.
        """
        if attempt >= self.retries:
            return None
        if retry_after_seconds is not None:
            return None if retry_after_seconds > self.longest_delay_seconds else retry_after_seconds * (1 + chance / 4)
        return min(self.first_delay_seconds * 2.0**attempt, self.longest_delay_seconds) * (0.5 + chance / 2)


def predict_call(model: str, records: Sequence[Record], *, wait: float, options: PredictOptions) -> Call:
    """Ask for predictions of records."""
    given = {_OPTION_NAMES.get(name, name): value for name, value in options.items()}
    held = min(max(wait, 0.0), LONGEST_WAIT_SECONDS)
    return Call(
        method="POST",
        path=f"/v1/models/{quote(model, safe='')}/predictions",
        params={"wait": f"{held:g}"} if held else {},
        body={"records": [dict(record) for record in records], **given},
        waits_seconds=held,
    )


def prediction_call(prediction_id: str, *, wait: float) -> Call:
    """Ask what became of a prediction, and wait a while if nothing has."""
    held = min(max(wait, 0.0), LONGEST_WAIT_SECONDS)
    params = {"wait": f"{held:g}"} if held else {}
    return Call(method="GET", path=_prediction_path(prediction_id), params=params, waits_seconds=held)


def cancel_call(prediction_id: str) -> Call:
    """Ask that a prediction is not computed."""
    return Call(method="DELETE", path=_prediction_path(prediction_id))


def events_call(prediction_ids: Sequence[str]) -> Call:
    """Ask to be told of each answer when it is there."""
    return Call(method="GET", path="/v1/predictions/events", params={"id": list(prediction_ids)})


def read_predictions(body: Any) -> list[Prediction]:
    """Read the predictions that the gateway accepted, in the order of the records."""
    if not isinstance(body, Mapping) or not isinstance(body.get("predictions"), list):
        raise UnexpectedAnswer("the gateway accepted the records but did not name predictions; is it a Millrace?")
    return [Prediction.from_json(each) for each in body["predictions"]]


def retry_after_seconds(text: str | None) -> float | None:
    """Read a Retry-After that is a number of seconds; a date, which the gateway never sends, is none."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def error_of(reply: Reply) -> MillraceError | None:
    """Turn an answer that is none into an error."""
    if reply.status < _BAD_REQUEST:
        return None
    said = reply.body.get("error") if isinstance(reply.body, Mapping) else None
    code, message = "", f"HTTP {reply.status}"
    if isinstance(said, Mapping):
        code, message = str(said.get("code", "")), str(said.get("message", message))
    elif isinstance(said, str):
        message = said
    if reply.status in _UNAUTHORIZED:
        return Unauthorized(f"{message}; check the API key and its scopes", code=code)
    if reply.status == _NOT_FOUND:
        return NotFound(message, code=code)
    if reply.status in _LATER:
        return Unavailable(message, code=code, retry_after_seconds=retry_after_seconds(reply.retry_after))
    if reply.status < _OURS:
        return Refused(message, code=code)
    return UnexpectedAnswer(f"the gateway failed: {message}; its log says why", code=code)


def _prediction_path(prediction_id: str) -> str:
    return f"/v1/predictions/{quote(prediction_id, safe='')}"
