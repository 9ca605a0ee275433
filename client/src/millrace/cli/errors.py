"""How a command ends: an exit code that scripts can rely on, and one sentence for people."""

from enum import IntEnum

from millrace.errors import (
    MillraceError,
    Misconfigured,
    NotFound,
    PredictionFailed,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
)


class ExitCode(IntEnum):
    """Documented in docs/cli.md; never renumbered."""

    OK = 0
    FAILED = 1
    """What was asked for ran and failed: a job, a prediction."""
    USAGE = 2
    NOT_FOUND = 3
    UNAUTHORIZED = 4
    REFUSED = 5
    UNAVAILABLE = 6
    INTERNAL = 70
    TIMED_OUT = 124
    INTERRUPTED = 130


class UsageInvalid(MillraceError):  # noqa: N818 - it says what happened
    """The command line asks for something that makes no sense."""


class OutcomeFailed(MillraceError):  # noqa: N818 - it says what happened
    """What was asked for ran and failed."""


_CODES: tuple[tuple[type[MillraceError], ExitCode], ...] = (
    (UsageInvalid, ExitCode.USAGE),
    (Misconfigured, ExitCode.USAGE),
    (OutcomeFailed, ExitCode.FAILED),
    (PredictionFailed, ExitCode.FAILED),
    (NotFound, ExitCode.NOT_FOUND),
    (Unauthorized, ExitCode.UNAUTHORIZED),
    (Refused, ExitCode.REFUSED),
    (TimedOut, ExitCode.TIMED_OUT),
    (Unavailable, ExitCode.UNAVAILABLE),
)


def exit_code(error: MillraceError) -> ExitCode:
    """Answer the exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.INTERNAL)
