"""What can go wrong for a user of Millrace. None of these errors holds a key, a password or a record."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.predictions import Prediction


class MillraceError(Exception):
    """The root of all errors of this package; its text says what happened and what to do."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """The gateway's word for it ("ModelNotFound"); empty where the error is not the gateway's."""


class Misconfigured(MillraceError):  # noqa: N818 - it says what happened
    """The client does not know where to ask: the gateway or the cluster is named wrongly, or not at all."""


class Refused(MillraceError):  # noqa: N818 - it says what happened
    """The gateway will not do this, and asking again changes nothing: wrong input, too large, in the wrong state."""


class Unauthorized(MillraceError):  # noqa: N818 - it says what happened
    """The API key is missing or unknown, or it may not do this."""


class NotFound(MillraceError):  # noqa: N818 - it says what happened
    """There is no such model, prediction, schedule or queue."""


class Unavailable(MillraceError):  # noqa: N818 - it says what happened
    """Millrace cannot be reached, or has no room now. It was asked again as often as the client may."""

    def __init__(self, message: str, *, code: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds
        """When the gateway expects to have room; None where it did not say."""


class TimedOut(MillraceError, TimeoutError):  # noqa: N818 - it says what happened
    """The answer did not come in time. The prediction goes on; ask for it again, or cancel it."""

    def __init__(self, message: str, *, prediction: "Prediction | None" = None) -> None:
        super().__init__(message)
        self.prediction = prediction
        """As it was then; None where something else took too long."""


class UnexpectedAnswer(MillraceError):  # noqa: N818 - it says what happened
    """Something answered that does not speak as this version of the gateway does."""


class PredictionFailed(MillraceError):  # noqa: N818 - it says what happened
    """The prediction ended without outputs."""

    def __init__(self, message: str, *, code: str, prediction: "Prediction") -> None:
        super().__init__(message, code=code)
        self.prediction = prediction


class PredictionCancelled(PredictionFailed):
    """Somebody cancelled the prediction before it was computed."""
