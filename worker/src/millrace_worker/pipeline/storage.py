"""Where artefacts and models lie: folders of a claim, or prefixes of an S3-compatible store.

A path is relative to the place and uses "/". Nothing half-written is ever taken for whole: who reads looks for a file
that is written last.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

from millrace_worker.errors import StorageUnavailable
from millrace_worker.pipeline.errors import StepFailed
from millrace_worker.storage.claims import PASSING_ERRORS, Claims, output_error

_FOLDER_MODE: Final = 0o755
_FILE_MODE: Final = 0o644
"""Triton runs as another user than the workers."""


class Place(Protocol):
    """A folder somewhere."""

    @property
    def uri(self) -> str:
        """How people name it."""
        ...

    def read_text(self, path: str) -> str | None:
        """Answer a small file; None where there is none."""
        ...

    def write_text(self, path: str, text: str) -> None:
        """Write a small file whole."""
        ...

    def names(self, path: str) -> list[str]:
        """List the folders in a folder; empty where there is none."""
        ...

    def fetch(self, path: str) -> AbstractContextManager[Path]:
        """Lend a local folder with what is there, to read."""
        ...

    def fill(self, path: str) -> AbstractContextManager[Path]:
        """Lend an empty local folder; what is in it afterwards is kept under the path."""
        ...

    def put_whole(self, folder: Path, path: str) -> None:
        """Put a copy of a local folder there; on a volume it appears whole. One that is there already stays."""
        ...

    def remove(self, path: str) -> None:
        """Remove a folder with all in it; one that is not there is no error."""
        ...


def open_place(location: str, claims: Claims) -> Place:
    """Open what a Location names."""
    if location.startswith("s3://"):
        # Only images with the extra `object-store` have its libraries.
        from millrace_worker.pipeline.objects import ObjectPlace  # noqa: PLC0415 - as the line above says

        return ObjectPlace(location.removeprefix("s3://").rstrip("/"))
    claim, _, path = location.removeprefix("claim:").partition("/")
    return FolderPlace(claims.output_folder(claim, path), uri=location)


class FolderPlace:
    """A folder of a mounted claim: nothing is copied, steps read and write it in place."""

    def __init__(self, folder: Path, *, uri: str) -> None:
        self.folder = folder
        self._uri = uri

    @property
    def uri(self) -> str:
        """How people name it."""
        return self._uri

    def read_text(self, path: str) -> str | None:
        """Answer a small file; None where there is none."""
        with self._errors(path):
            file = self.folder / path
            return file.read_text(encoding="utf-8") if file.is_file() else None

    def write_text(self, path: str, text: str) -> None:
        """Write a small file whole."""
        with self._errors(path), self._staging() as staging:
            (staging / "file").write_text(text, encoding="utf-8")
            _make_lasting(staging)
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / "file").replace(self.folder / path)

    def names(self, path: str) -> list[str]:
        """List the folders in a folder; empty where there is none."""
        with self._errors(path):
            folder = self.folder / path
            return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []

    @contextmanager
    def fetch(self, path: str) -> Iterator[Path]:
        """Lend the folder itself, to read."""
        with self._errors(path):
            if not (self.folder / path).is_dir():
                raise StepFailed(f'there is no folder "{path}" in {self.uri}; was it removed by hand?')
        yield self.folder / path

    @contextmanager
    def fill(self, path: str) -> Iterator[Path]:
        """Lend the folder itself, to write."""
        with self._errors(path):
            (self.folder / path).mkdir(parents=True, exist_ok=True)
        yield self.folder / path

    def put_whole(self, folder: Path, path: str) -> None:
        """Copy a local folder beside this place, then rename it into its place."""
        with self._errors(path), self._staging() as staging:
            target = self.folder / path
            if target.is_dir():
                return
            copy = staging / target.name
            shutil.copytree(folder, copy)
            _make_lasting(copy)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy.rename(target)

    def remove(self, path: str) -> None:
        """Remove a folder with all in it, for readers at once; one that is not there is no error."""
        with self._errors(path), self._staging() as staging:
            folder = self.folder / path
            if folder.is_dir():
                folder.rename(staging / folder.name)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        # Beside the folder and not in it: Triton takes every folder of its repository for a model.
        parent = self.folder.parent / ".millrace-staging"
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=parent))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        with file_errors(f'"{path}" in {self.uri}'):
            yield


def _make_lasting(folder: Path) -> None:
    """Let every user read it, and see to it that it is there after a power cut too."""
    folder.chmod(_FOLDER_MODE)
    for entry in folder.rglob("*"):
        entry.chmod(_FOLDER_MODE if entry.is_dir() else _FILE_MODE)
        if entry.is_file():
            with entry.open("rb") as stream:
                os.fsync(stream.fileno())


@contextmanager
def file_errors(where: str) -> Iterator[None]:
    """Say what an error of the file system means: time, or the end of the run."""
    try:
        yield
    except OSError as error:
        if error.errno in PASSING_ERRORS:
            raise StorageUnavailable(f"{where} cannot be used now: {error.strerror}") from error
        raise StepFailed(str(output_error(error, where=where)).removesuffix(", then create the job anew")) from error
