"""Artefacts in an S3-compatible store, through fsspec; the only module that knows it.

Address and credentials are the usual AWS_* variables of the process, AWS_ENDPOINT_URL for a store of one's own.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError, PartialCredentialsError

from millrace_worker.errors import StorageUnavailable
from millrace_worker.pipeline.errors import StepFailed
from millrace_worker.storage.claims import PASSING_ERRORS


class ObjectPlace:
    """A prefix of a bucket: steps work on local copies."""

    def __init__(self, root: str) -> None:
        self._root = root
        # Never a client of the parent process, and never a listing of before: others write here too.
        self._files: Any = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)

    @property
    def uri(self) -> str:
        """How people name it."""
        return f"s3://{self._root}"

    def read_text(self, path: str) -> str | None:
        """Answer a small object; None where there is none."""
        with self._errors(path):
            try:
                return bytes(self._files.cat_file(self._key(path))).decode()
            except FileNotFoundError:
                return None

    def write_text(self, path: str, text: str) -> None:
        """Write a small object; it is there wholly or not at all."""
        with self._errors(path):
            self._files.pipe_file(self._key(path), text.encode())

    def names(self, path: str) -> list[str]:
        """List the prefixes under a prefix; empty where there is none."""
        with self._errors(path):
            try:
                found = self._files.ls(self._key(path), detail=True)
            except FileNotFoundError:
                return []
            return sorted(PurePosixPath(each["name"]).name for each in found if each["type"] == "directory")

    @contextmanager
    def fetch(self, path: str) -> Iterator[Path]:
        """Lend a copy of all objects under the path."""
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            local = Path(folder)
            with self._errors(path):
                keys = self._files.find(self._key(path))
                if not keys:
                    raise StepFailed(f'there is nothing under "{path}" in {self.uri}; was it removed by hand?')
                for key in keys:
                    target = local / PurePosixPath(key).relative_to(self._key(path))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._files.get_file(key, str(target))
            yield local

    @contextmanager
    def fill(self, path: str) -> Iterator[Path]:
        """Lend an empty folder, and upload what is in it if the block ends well."""
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            yield Path(folder)
            self.put_whole(Path(folder), path)

    def put_whole(self, folder: Path, path: str) -> None:
        """Upload all files of a folder by name: the `config.pbtxt` of a new model comes after its version folder."""
        with self._errors(path):
            for file in sorted(each for each in folder.rglob("*") if each.is_file()):
                self._files.put_file(str(file), self._key(f"{path}/{file.relative_to(folder).as_posix()}"))

    def remove(self, path: str) -> None:
        """Remove all objects under the path."""
        with self._errors(path):
            keys = self._files.find(self._key(path))
            if keys:
                self._files.rm(keys)

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        where = f'"{path}" in {self.uri}'
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError, NoRegionError) as error:
            raise StepFailed(f"{where} cannot be used: {error}; set the AWS_* variables of the workers") from error
        except BotoCoreError as error:
            raise StorageUnavailable(f"{where} cannot be used now: {type(error).__name__}: {error}") from error
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError) or error.errno in PASSING_ERRORS:
                raise StorageUnavailable(f"{where} cannot be used now: {error}") from error
            raise StepFailed(f"{where} cannot be used: {error}; look at the bucket and the workers' rights") from error
