"""What can go wrong in a pipeline.

WorkerError
├── PipelineInvalid     it cannot begin: unknown, or something that it needs is not there
├── StepFailed          a step ended without its result; the run is over and the serving version stays
│   └── LoadFailed      a Triton does not serve the new version; it is taken back
└── Unavailable
    └── StepHeld        another worker does this very step now, or died doing it a moment ago
"""

from millrace_worker.errors import Unavailable, WorkerError


class PipelineInvalid(WorkerError):  # noqa: N818 - it says what happened
    """The pipeline cannot begin; the message says what to set."""


class StepFailed(WorkerError):  # noqa: N818 - it says what happened
    """The step has no result; the message is for the pipeline's owner."""


class LoadFailed(StepFailed):
    """A Triton could not load the new version, or did not answer in time."""


class StepHeld(Unavailable):
    """Somebody else works on the step; `seconds` is when his lease ends if he is gone."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


def is_stop(error: BaseException | None) -> bool:
    """Tell whether it is this process that must end: a lock that was waited for makes an error of its own of that."""
    while error is not None:
        if isinstance(error, SystemExit):
            return True
        error = error.__cause__ or error.__context__
    return False
