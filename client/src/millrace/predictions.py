"""A prediction as its user sees it, and how it is read from the gateway's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Self, TypedDict

from millrace.errors import PredictionCancelled, PredictionFailed, UnexpectedAnswer

Record = Mapping[str, Any]
"""The inputs of a model by name, as JSON."""


class State(StrEnum):
    """What has become of a prediction; all but the first are final."""

    PENDING = "Pending"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class PredictOptions(TypedDict, total=False):
    """How records are to be predicted; what is absent is the gateway's choice."""

    parameters: Mapping[str, bool | int | float | str]
    """Parameters of the request to the model."""
    priority: Literal["realtime", "batch"]
    version: str
    """A version of the model; else the one that serves."""
    deadline_seconds: float
    """Nobody wants the answer later than this; it is not computed then."""
    cache: bool
    """False neither reads nor fills the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there are no outputs."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer to one record, or what is known of it until there is one."""

    id: str
    state: State
    model: str
    model_version: str = ""
    """The version that answered."""
    outputs: Mapping[str, Any] | None = field(default=None, repr=False)
    error: Failure | None = None
    cached: bool = False
    accepted_at: float | None = None
    """Seconds since the epoch."""
    finished_at: float | None = None

    @property
    def is_final(self) -> bool:
        """Say whether it will not change any more."""
        return self.state is not State.PENDING

    def require_outputs(self) -> Mapping[str, Any]:
        """Answer the outputs.

        Raises:
            PredictionCancelled: somebody cancelled it.
            PredictionFailed: it has none, and why.
        """
        if self.state is State.SUCCEEDED and self.outputs is not None:
            return self.outputs
        if self.state is State.CANCELLED:
            raise PredictionCancelled(f"prediction {self.id} was cancelled", code="Cancelled", prediction=self)
        failure = self.error or Failure(code=str(self.state), message="the gateway did not say why")
        raise PredictionFailed(
            f"prediction {self.id} has no outputs: {failure.message} ({failure.code})",
            code=failure.code,
            prediction=self,
        )

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what the gateway says; fields that a newer gateway adds are left out.

        Raises:
            UnexpectedAnswer: it is not a prediction.
        """
        try:
            failure = value.get("error")
            return cls(
                id=str(value["id"]),
                state=State(value["state"]),
                model=str(value.get("model", "")),
                model_version=str(value.get("model_version") or ""),
                outputs=value.get("outputs"),
                error=Failure(code=str(failure["code"]), message=str(failure["message"])) if failure else None,
                cached=bool(value.get("cached", False)),
                accepted_at=value.get("accepted_at"),
                finished_at=value.get("finished_at"),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UnexpectedAnswer(
                f"the gateway's answer is not a prediction ({type(error).__name__}: {error}); "
                "is the client older or newer than the gateway?"
            ) from error

    def as_json(self) -> dict[str, Any]:
        """Say the same as JSON, in the gateway's own words."""
        return {
            "id": self.id,
            "state": str(self.state),
            "model": self.model,
            "model_version": self.model_version,
            "outputs": None if self.outputs is None else dict(self.outputs),
            "error": {"code": self.error.code, "message": self.error.message} if self.error else None,
            "cached": self.cached,
            "accepted_at": self.accepted_at,
            "finished_at": self.finished_at,
        }
