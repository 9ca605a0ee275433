"""What destinations have in common that keep no files, and so nothing from which a lost ledger could be restored."""

from collections.abc import Iterable, Iterator, Mapping

from millrace_contracts.results import Part, RecordFailure


class WithoutFiles:
    """A topic holds no notes, and a Redis that lost the ledger lost the results too."""

    @property
    def refused(self) -> Mapping[int, RecordFailure]:
        """Answer nothing."""
        return {}

    def write_checkpoint(self, index: int, text: str) -> None:
        """Do nothing."""

    def read_checkpoints(self) -> Iterator[tuple[int, str]]:
        """Answer nothing."""
        return iter(())

    def holds(self, parts: Iterable[Part]) -> bool:
        """Say whether there are no parts: a shard makes no files here."""
        return not list(parts)
