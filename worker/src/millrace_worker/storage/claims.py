"""Files on PersistentVolumeClaims: a path never leaves its claim, and a file is there wholly or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from millrace_worker.errors import InputMissing, InputUnusable, OutputUnwritable, StorageUnavailable

PASSING_ERRORS: Final = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EHOSTDOWN, errno.ENOTCONN}
)
"""What network file systems answer while their server is away; everything else stays until somebody does something."""

_TEMPORARY_SUFFIX: Final = ".tmp"


class Claims:
    """The claims that this worker has mounted, each a folder under one root."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def input_file(self, claim: str, path: str) -> Path:
        """Answer the file to read, or say what is missing."""
        file = self.input_path(claim, path)
        try:
            if not file.is_file():
                raise InputUnusable(f'"{path}" on claim "{claim}" is not a file; name one file, or its folder')
        except OSError as error:
            raise input_error(error, claim=claim, path=path) from error
        return file

    def input_path(self, claim: str, path: str) -> Path:
        """Answer the file or folder to read, or say what is missing."""
        try:
            folder = self._folder(claim)
            if folder is None:
                raise InputMissing(self._not_mounted(claim))
            file = _inside(folder, path)
            if file is None:
                raise InputUnusable(f'input path "{path}" leads out of claim "{claim}"; give a path inside it')
            if not file.exists():
                raise InputMissing(f'there is no file "{path}" on claim "{claim}"; put it there, or correct the path')
        except OSError as error:
            raise input_error(error, claim=claim, path=path) from error
        return file

    def output_folder(self, claim: str, path: str) -> Path:
        """Answer the folder to write into, which need not exist yet."""
        folder = self._folder(claim)
        if folder is None:
            raise OutputUnwritable(self._not_mounted(claim))
        inside = _inside(folder, path)
        if inside is None:
            raise OutputUnwritable(f'output path "{path}" leads out of claim "{claim}"; give a path inside it')
        return inside

    def _folder(self, claim: str) -> Path | None:
        folder = self._root / claim
        is_name = claim not in {"", ".", ".."} and "/" not in claim
        return folder.resolve() if is_name and folder.is_dir() else None

    def _not_mounted(self, claim: str) -> str:
        found = sorted(entry.name for entry in self._root.iterdir()) if self._root.is_dir() else []
        return (
            f'claim "{claim}" is not mounted by the workers (they have: {", ".join(found) or "none"}); '
            "add it to dataClaims in the chart's values"
        )


def input_error(error: OSError, *, claim: str, path: str) -> Exception:
    """Say what an error of the file system means for the input of a job."""
    where = f'"{path}" on claim "{claim}"'
    if error.errno in PASSING_ERRORS:
        return StorageUnavailable(f"{where} cannot be read now: {error.strerror}")
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return InputMissing(f"there is no file {where}; put it there, or correct the path")
    return InputUnusable(f"{where} cannot be read: {error.strerror}; make it readable for user {os.getuid()}")


def output_error(error: OSError, *, where: str) -> Exception:
    """Say what an error of the file system means for the output of a job."""
    if error.errno in PASSING_ERRORS:
        return StorageUnavailable(f"{where} cannot be written now: {error.strerror}")
    advice = {
        errno.ENOSPC: "free space or enlarge the volume",
        errno.EDQUOT: "free space or raise the quota",
        errno.EROFS: "mount it writable",
        errno.EACCES: f"make it writable for user {os.getuid()}",
        errno.EPERM: f"make it writable for user {os.getuid()}",
        errno.ENOTDIR: "a file stands where a folder is needed; choose another path",
        errno.EEXIST: "a file stands where a folder is needed; choose another path",
    }.get(error.errno or 0, "see whether the volume is healthy")
    return OutputUnwritable(f"{where} cannot be written: {error.strerror}; {advice}, then create the job anew")


def write_whole(file: Path, lines: Iterable[str]) -> None:
    """Write lines of text so that readers see the old file or the whole new one, also when the machine stops."""
    write_bytes_whole(file, "".join(f"{line}\n" for line in lines).encode())


def write_bytes_whole(file: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that readers see the old one or the whole new one.

    Also when the machine stops, if it is durable; if not, the file may then be empty or the old one.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each writer: a shard that is delivered twice may be written twice at the same time.
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=_TEMPORARY_SUFFIX)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            if durable:
                os.fsync(stream.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what writers left behind that were killed in the middle of a file."""
    for leftover in folder.glob(f".*{_TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def _inside(folder: Path, path: str) -> Path | None:
    target = (folder / path).resolve()
    return target if target.is_relative_to(folder) else None
