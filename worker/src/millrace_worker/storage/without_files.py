"""What destinations have in common that keep no files, and so nothing from which a lost ledger could be restored."""

from collections.abc import Iterable, Iterator

from millrace_contracts.results import Part


class WithoutFiles:
    """A topic holds no notes, and a Redis that lost the ledger lost the results too."""

    def write_checkpoint(self, index: int, text: str) -> None:
        """Do nothing."""

    def read_checkpoints(self) -> Iterator[tuple[int, str]]:
        """Answer nothing."""
        return iter(())

    def holds(self, parts: Iterable[Part]) -> bool:
        """Say whether there are no parts: a shard makes no files here."""
        return not list(parts)
