"""Which records are at fault when requests take too long.

A record that holds the model up makes those late that come after it, also after its own request was given up: the model
goes on with it. So that a record was late says little, even when it was sent alone. It is tried again when all others
are through, one at a time, and only while the model is known to be free: some record that it answered before is sent as
a probe. Who is late then is at fault; before, nothing is spent. A model that answers nobody any more, however long it
is waited for, is free for nobody, and then being late counts as it is.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Protocol, Self, TypeVar


class Batch(Protocol):
    """Positions of records that go in one request."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[int]: ...

    def __getitem__(self, part: slice, /) -> Self: ...


B = TypeVar("B", bound=Batch)

FRUITLESS: Final = 3
"""So many probes or trials in a row may be late before waiting for a free model is given up."""


@dataclass(frozen=True, slots=True)
class Try(Generic[B]):
    """A batch on its way to the model."""

    batch: B
    failures: int = 0
    """How often the model failed on it, counted once it is not cut any more."""
    not_before: float = 0.0
    is_trial: bool = False
    """Sent while nothing else is, because it was late before."""
    is_probe: bool = False
    """Answered before, and sent again to see whether the model is free."""


@dataclass(slots=True)
class Trials(Generic[B]):
    """The records that were late, and what is known of the model meanwhile."""

    pause: Callable[[int], float]
    """Before the model is tried again, by how often it was in vain."""
    doubtful: deque[Try[B]] = field(default_factory=deque)
    is_free: bool = True
    """Nothing that was given up can hold the model."""
    fruitless: int = 0
    not_before: float = 0.0

    @property
    def due(self) -> float:
        """Say when the next may be sent."""
        return max(self.not_before, min((one.not_before for one in self.doubtful), default=0.0))

    def following(self, answered: Sequence[B], *, now: float) -> Try[B] | None:
        """Answer what is to be sent alone now; `answered` are batches that the model can answer."""
        if not self.doubtful or now < self.due:
            return None
        if answered and not self.is_free and self.fruitless < FRUITLESS:
            return Try(answered[-1][:1], is_probe=True)
        first = min(self.doubtful, key=lambda one: one.not_before)
        self.doubtful.remove(first)
        return replace(first, is_trial=True)

    def is_proof(self, one: Try[B], *, is_only: bool) -> bool:
        """Say whether it is a record's own fault that it is late; `is_only`: there never was another to hold it up."""
        return is_only or (one.is_trial and (self.is_free or self.fruitless >= FRUITLESS))

    def note(self, one: Try[B], *, is_late: bool, now: float) -> None:
        """Take in how a request ended; one that was alone tells whether the model is free."""
        is_alone = one.is_trial or one.is_probe
        if is_late and is_alone and not self.is_free:
            self.fruitless += 1
            self.not_before = now + self.pause(self.fruitless)
        elif is_alone and not is_late:
            self.is_free, self.fruitless = True, 0
        if is_late:
            self.is_free = False
