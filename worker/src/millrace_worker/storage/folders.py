"""A place of files by name, each there wholly or not at all: a folder of a claim, or a prefix of an object store."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from millrace_worker.storage.claims import Claims, output_error, remove_leftovers, write_bytes_whole


class Folder(Protocol):
    """Where the files of one job's results lie. Names are relative and use "/"."""

    @property
    def uri(self) -> str:
        """How people name the place."""

    def check_writable(self) -> None:
        """Write something and remove it, or raise OutputUnwritable or StorageUnavailable."""

    def put(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write a file whole; readers see the old one or the new one. What is not durable may be lost with its host."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a small file if there is none; answers False where there is one."""

    def get(self, name: str) -> bytes | None:
        """Answer the content of a file; None where there is none."""

    def get_all(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Answer names and contents of those files that are there, in no order."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; one that is not there is no error."""

    def sizes(self, folder: str = "") -> Mapping[str, int]:
        """Answer the whole files that lie directly in a folder, by their names, with their sizes in bytes."""

    def tidy(self, folders: Sequence[str], *, gone: str) -> None:
        """Remove what killed writers left behind in the folders, and the folder `gone` with the files in it."""


class ClaimFolder:
    """A folder of a claim."""

    def __init__(self, claims: Claims, *, claim: str, path: str) -> None:
        self._claims = claims
        self._claim = claim
        self._path = path.strip("/")

    @property
    def uri(self) -> str:
        """How people name the place."""
        return f"pvc://{self._claim}/{self._path}".rstrip("/")

    def check_writable(self) -> None:
        """Make the folder and try to write into it."""
        with self._folder() as folder:
            write_bytes_whole(folder / ".writable", b"")
            (folder / ".writable").unlink(missing_ok=True)

    def put(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write a file whole."""
        with self._folder() as folder:
            write_bytes_whole(folder / name, data, durable=durable)

    def create(self, name: str, data: bytes) -> bool:
        """Write a small file if there is none; one that is read meanwhile may be empty."""
        with self._folder() as folder:
            try:
                with (folder / name).open("xb") as stream:
                    stream.write(data)
            except FileExistsError:
                return False
            return True

    def get(self, name: str) -> bytes | None:
        """Answer the content of a file; None where there is none."""
        with self._folder() as folder:
            try:
                return (folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def get_all(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Answer names and contents of those files that are there."""
        return ((name, data) for name in names if (data := self.get(name)) is not None)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; one that is not there is no error."""
        with self._folder() as folder:
            for name in names:
                (folder / name).unlink(missing_ok=True)

    def sizes(self, folder: str = "") -> Mapping[str, int]:
        """Answer the whole files that lie directly in a folder, by their names, with their sizes in bytes."""
        with self._folder() as place:
            try:
                entries = list(os.scandir(place / folder))
            except FileNotFoundError:
                return {}
            return {
                f"{folder}/{entry.name}".lstrip("/"): entry.stat().st_size
                for entry in entries
                if not entry.name.startswith(".") and entry.is_file()
            }

    def tidy(self, folders: Sequence[str], *, gone: str) -> None:
        """Remove what killed writers left behind in the folders, and the folder `gone` with the files in it."""
        with self._folder() as place:
            for folder in folders:
                remove_leftovers(place / folder)
            if (place / gone).is_dir():
                shutil.rmtree(place / gone)
                if not any((place / gone).parent.iterdir()):
                    (place / gone).parent.rmdir()

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        try:
            yield self._claims.output_folder(self._claim, self._path)
        except OSError as error:
            raise output_error(error, where=f'"{self._path}" on claim "{self._claim}"') from error
