"""Results as objects under a prefix of an S3-compatible store, through s3fs.

Address and credentials are the usual AWS_* variables of the process, AWS_ENDPOINT_URL for a store of one's own. An
object is there wholly or not at all, so nothing is left behind by a writer that was killed.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from millrace_worker.errors import OutputUnwritable, StorageUnavailable
from millrace_worker.storage.claims import PASSING_ERRORS

_PASSING: Final = PASSING_ERRORS | {errno.EBUSY, errno.EREMOTEIO}
"""With what s3fs says for SlowDown, ServiceUnavailable and InternalError."""

_KEYS_OF_A_DELETION: Final = 1000
_OBJECTS_OF_A_READING: Final = 1000
_ATTEMPTS_OF_A_CALL: Final = 1
"""s3fs itself tries five times; botocore's own tries would multiply them."""


class ObjectStore:
    """The client of this process."""

    def __init__(self) -> None:
        self._files: Any = None
        self._pid = -1

    @property
    def files(self) -> Any:
        """The file system; never one of the parent process, whose connections and threads do not survive a fork."""
        if self._files is None or self._pid != os.getpid():
            # An image of a pool that never writes to an object store need not have its client.
            try:
                from s3fs import S3FileSystem  # noqa: PLC0415 - optional
            except ImportError as error:
                raise OutputUnwritable(
                    "the image of this pool has no client of object stores; install millrace-worker[object-store] in it"
                ) from error
            self._files = S3FileSystem(
                skip_instance_cache=True,
                # Others write there too.
                use_listings_cache=False,
                config_kwargs={
                    "connect_timeout": 5,
                    "read_timeout": 30,
                    "retries": {"total_max_attempts": _ATTEMPTS_OF_A_CALL},
                },
            )
            self._pid = os.getpid()
        return self._files


class ObjectFolder:
    """A prefix of a bucket."""

    def __init__(self, store: ObjectStore, *, uri: str) -> None:
        self._store = store
        self._root = uri.removeprefix("s3://").rstrip("/")

    @property
    def uri(self) -> str:
        """How people name the place."""
        return f"s3://{self._root}"

    def check_writable(self) -> None:
        """Write a small object and remove it."""
        self.put(".writable", b"")
        self.remove([".writable"])

    def put(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write an object; a store that has confirmed it keeps it."""
        del durable
        with self._files() as files:
            files.pipe_file(self._key(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a small object if there is none; of two at once, a store without conditional writes keeps the last."""
        bucket, _, key = self._key(name).partition("/")
        if self.get(name) is not None:
            return False
        with self._files() as files:
            try:
                files.call_s3("put_object", Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
            except OSError:
                # Not all stores know the condition, and each says so in its own words.
                if files.exists(self._key(name)):
                    return False
                files.pipe_file(self._key(name), data)
        return self.get(name) == data

    def get(self, name: str) -> bytes | None:
        """Answer the content of an object; None where there is none."""
        with self._files() as files:
            try:
                return bytes(files.cat_file(self._key(name)))
            except FileNotFoundError:
                return None

    def get_all(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Answer the contents of those objects that are there, many at a time."""
        left = iter(names)
        while several := list(islice(left, _OBJECTS_OF_A_READING)):
            with self._files() as files:
                # Its `cat` would look for patterns in the names, and ask for each whether it is there.
                found = files.cat_ranges([self._key(name) for name in several], None, None, on_error="return")
                for answer in found:
                    if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                        raise answer
            yield from (each for each in zip(several, found, strict=True) if isinstance(each[1], bytes))

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error."""
        bucket, _, prefix = self._root.partition("/")
        keys = [f"{prefix}/{name}" for name in names]
        with self._files() as files:
            # Its `rm` first asks for each object whether it is there, and minds if not.
            for start in range(0, len(keys), _KEYS_OF_A_DELETION):
                listed = [{"Key": key} for key in keys[start : start + _KEYS_OF_A_DELETION]]
                answer = files.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": listed, "Quiet": True})
                if refused := answer.get("Errors"):
                    raise PermissionError(f"{refused[0].get('Key')}: {refused[0].get('Message')}")

    def sizes(self, folder: str = "") -> Mapping[str, int]:
        """Answer the objects directly under a prefix, by their names, with their sizes in bytes."""
        with self._files() as files:
            try:
                found = files.ls(self._key(folder), detail=True)
            except FileNotFoundError:
                return {}
            return {
                each["name"].removeprefix(f"{self._root}/"): int(each["size"])
                for each in found
                if each["type"] == "file" and not each["name"].endswith("/")
            }

    def tidy(self, folders: Sequence[str], *, gone: str) -> None:
        """Remove the objects of the prefix `gone`."""
        del folders
        self.remove(self.sizes(gone))

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    @contextmanager
    def _files(self) -> Iterator[Any]:
        try:
            yield self._store.files
        except (OSError, _botocore_error()) as error:
            raise _translated(error, where=self.uri) from error


def _botocore_error() -> type[Exception]:
    """Answer what botocore raises; where it is not installed nothing does."""
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - optional
    except ImportError:
        return StorageUnavailable
    return BotoCoreError  # type: ignore[no-any-return] # botocore has no types


def _translated(error: Exception, *, where: str) -> Exception:
    """Say what an error of the store means for the output of a job."""
    name = type(error).__name__
    if name in {"NoCredentialsError", "PartialCredentialsError", "NoRegionError"}:
        return OutputUnwritable(
            f"{where} cannot be written: {error}; set objectStore in the chart's values (the workers' AWS_* variables)"
        )
    if isinstance(error, FileNotFoundError):
        bucket = where.removeprefix("s3://").partition("/")[0]
        return OutputUnwritable(f'{where} cannot be written: there is no bucket "{bucket}"; create it, or correct uri')
    if isinstance(error, PermissionError):
        return OutputUnwritable(
            f"{where} cannot be written: the store refuses the workers' key ({error}); allow it to put, get, list and "
            "delete there, then create the job anew"
        )
    if not isinstance(error, OSError) or isinstance(error, ConnectionError | TimeoutError) or error.errno in _PASSING:
        return StorageUnavailable(f"{where} cannot be written now: {name}: {error}")
    return OutputUnwritable(f"{where} cannot be written: {error}; look at the bucket, then create the job anew")
