"""Which offset of a partition may be committed. Pure.

Batches are confirmed in any order, dead letters are delivered whenever Kafka takes them; the committed offset never
passes anything that is neither.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Sent:
    to_offset: int
    is_confirmed: bool = False


@dataclass(slots=True)
class Progress:
    """What is on its way, of one partition during one assignment."""

    committed: int | None = None
    """What was handed to Kafka as committed last."""
    _sent: deque[_Sent] = field(default_factory=deque)
    _confirmed_to: int | None = None
    _dead_letters: set[int] = field(default_factory=set)

    def sent(self, to_offset: int) -> Callable[[], None]:
        """Count a batch as on its way; call the answer when RabbitMQ has confirmed it."""
        sent = _Sent(to_offset)
        self._sent.append(sent)

        def confirmed() -> None:
            sent.is_confirmed = True
            while self._sent and self._sent[0].is_confirmed:
                self._confirmed_to = self._sent.popleft().to_offset

        return confirmed

    def dead_letter(self, offset: int) -> Callable[[], None]:
        """Count a dead letter as on its way; call the answer when Kafka has it."""
        self._dead_letters.add(offset)
        return lambda: self._dead_letters.discard(offset)

    @property
    def is_settled(self) -> bool:
        """Say whether nothing is on its way."""
        return not self._sent and not self._dead_letters

    def committable(self) -> int | None:
        """Answer the offset to commit, if it is beyond what is committed."""
        if self._confirmed_to is None:
            return None
        offset = min(self._confirmed_to, min(self._dead_letters, default=self._confirmed_to))
        return offset if self.committed is None or offset > self.committed else None
