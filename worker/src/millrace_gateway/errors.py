"""What a caller can be told, by HTTP status; every message is for the caller and says what to do next.

GatewayError
├── RequestMalformed        400  no JSON, or bytes that are not what their headers say
├── NotSupported            400  a part of the protocol that is not there
├── Unauthenticated         401
├── Forbidden               403
├── NotFound                404
├── Conflict                409
├── BodyTooLarge            413
├── RequestInvalid          422  JSON, and a field of it is wrong
├── TooManyRequests         429  with Retry-After
├── PredictionFailed        500  or what the reason of the failure maps to; only where a protocol has no other way
├── Unavailable             503  with Retry-After; nothing was accepted
└── NoAnswerInTime          504  only where a protocol cannot say "not yet"

SettingsInvalid ends the process at its start and is no GatewayError.
"""

from typing import ClassVar


class SettingsInvalid(Exception):  # noqa: N818 - it says what happened
    """The environment or a file of this process is incomplete or wrong."""


class GatewayError(Exception):
    """Base of all that becomes an HTTP answer; the message is shown to the caller."""

    status: int = 500
    code: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RequestMalformed(GatewayError):  # noqa: N818 - it says what happened
    """The body cannot be read."""

    status, code = 400, "RequestMalformed"


class NotSupported(GatewayError):  # noqa: N818 - it says what happened
    """The request is right, and this gateway does not do that."""

    status, code = 400, "NotSupported"


class Unauthenticated(GatewayError):  # noqa: N818 - it says what happened
    """It is not known who asks."""

    status, code = 401, "Unauthenticated"


class Forbidden(GatewayError):  # noqa: N818 - it says what happened
    """Whoever asks may not do that."""

    status, code = 403, "Forbidden"


class NotFound(GatewayError):  # noqa: N818 - it says what happened
    """There is no such model or prediction."""

    status, code = 404, "NotFound"


class Conflict(GatewayError):  # noqa: N818 - it says what happened
    """It is too late for that."""

    status, code = 409, "Conflict"


class BodyTooLarge(GatewayError):  # noqa: N818 - it says what happened
    """The body, or one record of it, is larger than allowed."""

    status, code = 413, "BodyTooLarge"


class RequestInvalid(GatewayError):  # noqa: N818 - it says what happened
    """A field of the body or the query is wrong; the message names it."""

    status, code = 422, "RequestInvalid"


class TooManyRequests(GatewayError):  # noqa: N818 - it says what happened
    """The queue is longer than its objective allows."""

    status, code = 429, "TooManyRequests"


class PredictionFailed(GatewayError):  # noqa: N818 - it says what happened
    """A worker could not predict; where a protocol has errors and no failed predictions."""

    code = "PredictionFailed"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(GatewayError):  # noqa: N818 - it says what happened
    """RabbitMQ or Redis does not take the request now; it was not accepted."""

    status, code = 503, "Unavailable"

    def __init__(self, message: str, *, retry_after_seconds: int | None = 2) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class NoAnswerInTime(GatewayError):  # noqa: N818 - it says what happened
    """The prediction goes on, and the caller's protocol cannot wait for it."""

    status, code = 504, "NoAnswerInTime"
