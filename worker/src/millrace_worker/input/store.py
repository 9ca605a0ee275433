"""What every place of files can do, and reading it piece by piece as one stream."""

import io
from typing import Final, Protocol

from millrace_contracts.inputs import ClaimInput, FileRef, HttpInput, ObjectStoreInput
from millrace_worker.errors import InputUnusable

PIECE_BYTES: Final = 4 * 1024 * 1024
"""How much is asked for at once: enough for the round trip not to matter, little enough for any worker's memory."""

FileInput = ClaimInput | ObjectStoreInput | HttpInput


class Stream(Protocol):
    """Bytes from the front to the end."""

    def read(self, size: int) -> bytes:
        """Answer the next bytes, at most so many; none at the end."""

    def close(self) -> None:
        """Give the connection back."""


class Store(Protocol):
    """A place of files. Errors are of this package's tree; a file that changed since it was listed is InputChanged."""

    def knows_ranges(self, file: FileRef) -> bool:
        """Say whether the file can be read from any place on."""

    def read_range(self, file: FileRef, offset: int, length: int) -> bytes:
        """Answer the bytes of a range, fewer only where the file ends."""

    def stream(self, file: FileRef) -> Stream:
        """Open the file at its beginning."""

    def see_that_it_is_the_same(self, file: FileRef) -> None:
        """Raise InputChanged if another file stands there now; what was read ahead of it would not show that."""


def where_is(file: FileRef) -> str:
    """Name a file as its user knows it, without what gives access to it."""
    if file.uri.startswith("claim:"):
        claim, _, path = file.uri.removeprefix("claim:").partition("/")
        return f'"{path}" on claim "{claim}"'
    return f'"{without_secrets(file.uri)}"'


def without_secrets(uri: str) -> str:
    """Leave out the user and the query of a URL: both may be keys to it."""
    if not uri.startswith(("http://", "https://")):
        return uri
    scheme, _, rest = uri.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}".partition("?")[0].partition("#")[0]


class PieceStream:
    """A stream made of ranges: nothing is held open between two reads, so it may rest for as long as it likes."""

    def __init__(self, store: Store, file: FileRef) -> None:
        self._store = store
        self._file = file
        self._offset = 0
        self._is_at_end = False
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Answer the next bytes, at most so many; none at the end."""
        if not self._piece and not self._is_at_end:
            self._piece = memoryview(self._store.read_range(self._file, self._offset, PIECE_BYTES))
            self._offset += len(self._piece)
            self._is_at_end = len(self._piece) < PIECE_BYTES
        taken, self._piece = self._piece[:size], self._piece[size:]
        return bytes(taken)

    def close(self) -> None:
        """Forget what was read ahead."""
        self._piece = memoryview(b"")


class RangedFile(io.RawIOBase):
    """A file that can be read at any place, for libraries that want one."""

    def __init__(self, store: Store, file: FileRef, *, size_bytes: int) -> None:
        super().__init__()
        self._store = store
        self._file = file
        self._size = size_bytes
        self._offset = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Answer where the next read begins."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise InputUnusable(f"{where_is(self._file)} refers to a place before its own beginning; write it anew")
        self._offset = base + offset
        return self._offset

    def read(self, size: int | None = -1) -> bytes:
        """Answer the bytes from here on."""
        left = max(0, self._size - self._offset)
        wanted = left if size is None or size < 0 else min(size, left)
        found = self._store.read_range(self._file, self._offset, wanted) if wanted else b""
        self._offset += len(found)
        return found

    def readall(self) -> bytes:
        """Answer all that is left."""
        return self.read()
