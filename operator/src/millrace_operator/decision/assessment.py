"""What a pool wants, before anyone else has a say."""

from dataclasses import dataclass, field

from millrace_operator.decision.waits import Waits
from millrace_operator.model.decision import Reason
from millrace_operator.model.estimates import Estimates


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A number within the pool's own bounds, and the reason for it."""

    wanted: int
    reason: Reason
    why: str
    """The numbers behind it, as a part of a sentence."""
    estimates: Estimates = field(default_factory=Estimates)
    waits: Waits = ()
    """(seconds, tasks) of the tasks that started since the last pass."""
    is_known: bool = True
    """False: the queue cannot be read, and `wanted` is what is held."""
    is_inference_saturated: bool = False
