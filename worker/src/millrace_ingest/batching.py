"""Gather the records of one partition into batches by count, size and age. Pure: the time is an argument.

Batches cover the offsets without a hole: one begins where the one before it ended, so offsets without a usable record
(a malformed event, a transaction marker) are covered too.
"""

from dataclasses import dataclass, field
from typing import Final

MAX_BATCH_BYTES: Final = 1024 * 1024 - 2048
"""Of all records of a message with their commas; what surrounds them stays under the rest of 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive records of one partition; without records it only covers offsets."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int
    """The first offset that is not covered."""
    records: tuple[bytes, ...]
    """Each the JSON of a `StreamRecord`."""


@dataclass(slots=True, kw_only=True)
class Accumulator:
    """The open batch of one partition."""

    topic: str
    partition: int
    max_records: int
    linger_seconds: float
    max_bytes: int = MAX_BATCH_BYTES
    next_offset: int | None = None
    """The first offset that this partition has not brought yet; None before its first record."""
    _from_offset: int = 0
    _opened_at: float | None = None
    _size_bytes: int = 0
    _records: list[bytes] = field(default_factory=list)

    def add(self, offset: int, record: bytes | None, now: float) -> Batch | None:
        """Take one offset, with its record if it has a usable one; answers a batch that this completed.

        Raises:
            ValueError: the offset is covered already.
        """
        if self.next_offset is None:
            self._from_offset = offset
        elif offset < self.next_offset:
            raise ValueError(f"offset {offset} is covered; the next one is {self.next_offset}")
        size = 0 if record is None else len(record) + 1
        full = self.take() if self._size_bytes + size > self.max_bytes else None
        if self._opened_at is None:
            self._opened_at = now
        if record is not None:
            self._records.append(record)
            self._size_bytes += size
        self.next_offset = offset + 1
        if len(self._records) < self.max_records:
            return full
        # With one record a batch the former is never open; with more, a batch that just began is not full.
        return self.take()

    def due_at(self) -> float | None:
        """Say when the open batch is to go even though it is not full; None when nothing is open."""
        return None if self._opened_at is None else self._opened_at + self.linger_seconds

    def take(self) -> Batch | None:
        """Close the open batch as it is; None when nothing is open."""
        if self._opened_at is None or self.next_offset is None:
            return None
        batch = Batch(
            topic=self.topic,
            partition=self.partition,
            from_offset=self._from_offset,
            to_offset=self.next_offset,
            records=tuple(self._records),
        )
        self._from_offset = self.next_offset
        self._opened_at, self._size_bytes, self._records = None, 0, []
        return batch
