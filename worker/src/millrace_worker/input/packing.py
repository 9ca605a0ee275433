"""Packed files as streams of what is in them: Gzip of any number of members, Zstandard of any number of frames."""

import io
import zlib
from typing import Any, Final

from millrace_contracts.inputs import Compression, FileRef
from millrace_worker.errors import InputUnusable, WorkerError
from millrace_worker.input.store import Stream, where_is

_PACKED_BYTES: Final = 256 * 1024
_GZIP: Final = 31
"""zlib's word for a header and a checksum of gzip around it."""


def compression_of(file: FileRef, told: Compression) -> Compression:
    """Answer how the file is packed, by what the job says or else by the end of its name."""
    if told is not Compression.AUTO:
        return told
    path = file.uri if file.uri.startswith(("claim:", "s3:")) else file.uri.partition("?")[0].partition("#")[0]
    name = path.lower()
    if name.endswith(".gz"):
        return Compression.GZIP
    return Compression.ZSTD if name.endswith((".zst", ".zstd")) else Compression.NONE


def unpacked(stream: Stream, compression: Compression, file: FileRef) -> Stream:
    """Answer the stream of what is in the file; whoever closes it closes the file."""
    if compression is Compression.GZIP:
        return GzipStream(stream, file)
    return ZstdStream(stream, file) if compression is Compression.ZSTD else stream


class GzipStream:
    """What is in a gzip file; never more of it in memory than was asked for."""

    def __init__(self, packed: Stream, file: FileRef) -> None:
        self._packed = packed
        self._file = file
        self._unpacker = zlib.decompressobj(_GZIP)
        self._waiting = b""
        self._is_at_start = True
        self._place = 0

    def read(self, size: int) -> bytes:
        """Answer the next bytes, at most so many; none at the end."""
        while True:
            if self._unpacker.eof:
                self._begin_next_member()
            if not self._waiting:
                self._waiting = self._packed.read(_PACKED_BYTES)
            if not self._waiting:
                if not self._is_at_start:
                    raise damaged(self._file, "gzip", self._place, "it is cut off")
                return b""
            found = self._unpack(size)
            if found:
                self._place += len(found)
                return found

    def close(self) -> None:
        """Close the file."""
        self._packed.close()

    def _unpack(self, size: int) -> bytes:
        self._is_at_start = False
        try:
            found = self._unpacker.decompress(self._waiting, size)
        except zlib.error as error:
            raise damaged(self._file, "gzip", self._place, str(error)) from error
        self._waiting = self._unpacker.unused_data if self._unpacker.eof else self._unpacker.unconsumed_tail
        return found

    def _begin_next_member(self) -> None:
        """Go on behind a member. Zeros may fill the file up behind the last, as writers of blocks leave them."""
        self._unpacker = zlib.decompressobj(_GZIP)
        self._is_at_start = True
        while True:
            self._waiting = self._waiting.lstrip(b"\0")
            if self._waiting:
                return
            self._waiting = self._packed.read(_PACKED_BYTES)
            if not self._waiting:
                return


class ZstdStream:
    """What is in a Zstandard file; Arrow unpacks it, because it tells a file that is cut off from one that ends."""

    def __init__(self, packed: Stream, file: FileRef) -> None:
        # The image of a pool whose jobs have no packed files need not have it.
        try:
            import pyarrow as pa  # noqa: PLC0415 - optional
        except ImportError as error:
            raise library_missing("files that are packed with Zstandard") from error
        self._packed = packed
        self._file = file
        self._arrow: Any = pa
        self._stream: Any = pa.CompressedInputStream(pa.PythonFile(_Readable(packed), mode="r"), "zstd")
        self._place = 0

    def read(self, size: int) -> bytes:
        """Answer the next bytes, at most so many; none at the end."""
        try:
            found = bytes(self._stream.read(size))
        except WorkerError:
            raise
        except (self._arrow.ArrowException, OSError, ValueError) as error:
            raise damaged(self._file, "Zstandard", self._place, first_line(error)) from error
        self._place += len(found)
        return found

    def close(self) -> None:
        """Close the file."""
        self._packed.close()


class _Readable(io.RawIOBase):
    """A stream as what Arrow takes for a file."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._source = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self._source.read(size if size is not None and size > 0 else _PACKED_BYTES)


def damaged(file: FileRef, kind: str, place: int, reason: str) -> InputUnusable:
    """Say that a file cannot be unpacked, and where."""
    return InputUnusable(
        f"{where_is(file)} cannot be unpacked as {kind} behind its first {place:,} unpacked bytes: {reason}; "
        "write it anew, or correct compression"
    )


def library_missing(what: str) -> InputUnusable:
    """Say that this pool's image cannot read a kind of file."""
    return InputUnusable(f"the image of this pool cannot read {what}; install millrace-worker[files] in it")


def first_line(error: BaseException) -> str:
    """Answer what an error of a library says, without the pages that some add."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
