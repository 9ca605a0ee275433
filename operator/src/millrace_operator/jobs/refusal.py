"""The one error of a spec that can never run."""

from millrace_operator.errors import OperatorError


class SpecRefused(OperatorError):  # noqa: N818 - it says what happened
    """This spec can never run; the message says what to change."""
