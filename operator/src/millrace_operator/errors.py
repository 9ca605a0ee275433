"""The operator's errors: translated where a library raises, with the cause kept and without secrets.

OperatorError
├── ObservationError       the broker could not be read; the backlog is unknown
├── PublishError           a plan was not confirmed; it may be published again
├── ControlError           workers could not be told anything; it may be tried again
└── KubernetesError        the API refused or did not answer
    └── ObjectNotFound     the object is gone
"""


class OperatorError(Exception):
    """Base of all errors that the operator raises itself."""


class ObservationError(OperatorError):
    """The broker could not be read, so the backlog is unknown."""


class PublishError(OperatorError):
    """The broker did not confirm a message; publishing it again is safe."""


class ControlError(OperatorError):
    """Workers could not be told to stop or start taking tasks; telling them again is safe."""


class KubernetesError(OperatorError):
    """The Kubernetes API refused a call or did not answer."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status; None when there was no answer."""


class ObjectNotFound(KubernetesError):  # noqa: N818 - it says what happened
    """The object does not exist (any more)."""


class WatchExpired(KubernetesError):  # noqa: N818 - it says what happened
    """The API server does not know any more what changed since the version at which a watch was to go on."""
