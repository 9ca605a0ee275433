"""Input files in an S3-compatible store.

Address and credentials are the usual AWS_* variables of the process; AWS_ENDPOINT_URL_S3 for a store of one's own.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import fsspec
from aiohttp import ClientError as ConnectionFailed
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
)
from fsspec.asyn import sync

from millrace_contracts.inputs import MAX_FILES, FileRef, ObjectStoreInput
from millrace_worker.errors import InputMissing, InputUnusable, StorageUnavailable
from millrace_worker.input.claim_files import changed, too_many_files
from millrace_worker.input.patterns import selection
from millrace_worker.input.store import PieceStream, Stream, where_is

_MISSING: Final = frozenset({"NoSuchBucket", "NoSuchKey", "NoSuchVersion", "404"})
_REFUSED: Final = frozenset(
    {
        "403",
        "AccessDenied",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidObjectState",
        "InvalidToken",
        "SignatureDoesNotMatch",
    }
)
_CHANGED: Final = frozenset({"412", "PreconditionFailed"})
_BEYOND_THE_END: Final = frozenset({"416", "InvalidRange"})
_BAD_REQUEST: Final = frozenset(
    {"400", "AuthorizationHeaderMalformed", "InvalidBucketName", "PermanentRedirect", "301"}
)

_PATIENCE: Final = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}
"""A store that is away costs time at the broker, where nobody waits for it, not in a task slot."""


class ObjectFiles:
    """An S3-compatible store as a place of input files. For the process that made it."""

    def __init__(self) -> None:
        # Never a client of the parent process, and never a listing of before: others write here too.
        self._files: Any = fsspec.filesystem(
            "s3", skip_instance_cache=True, use_listings_cache=False, config_kwargs=_PATIENCE
        )

    def files(self, source: ObjectStoreInput) -> list[FileRef]:
        """List the object, or the objects below the prefix, by their keys."""
        bucket, _, key = source.uri.removeprefix("s3://").partition("/")
        if key and not key.endswith("/") and (one := self._one(bucket, key)):
            return [one]
        prefix = f"{key.rstrip('/')}/" if key else ""
        is_taken = selection(source.includes, source.excludes)
        found: list[FileRef] = []
        for listed in self._listed(bucket, prefix):
            name = listed["Key"].removeprefix(prefix)
            # An empty object with a slash at its end is how browsers of buckets make folders.
            if name and not name.endswith("/") and is_taken(name):
                uri = f"s3://{bucket}/{listed['Key']}"
                found.append(FileRef(uri=uri, size_bytes=listed["Size"], version=_version(listed), name=name))
            if len(found) > MAX_FILES:
                raise too_many_files(f'"{source.uri}"')
        if not found:
            raise InputMissing(
                f'there is neither an object "{source.uri}" nor one below it that the job takes; put it there, '
                "or correct uri, includes and excludes"
            )
        return sorted(found, key=lambda file: file.name)

    def knows_ranges(self, file: FileRef) -> bool:  # noqa: ARG002 - other stores must look at the file
        """Say yes."""
        return True

    def read_range(self, file: FileRef, offset: int, length: int) -> bytes:
        """Answer the bytes of a range, fewer only where the object ends."""
        if length <= 0 or (file.size_bytes is not None and offset >= file.size_bytes):
            return b""
        bucket, _, key = file.uri.removeprefix("s3://").partition("/")
        only = {"IfMatch": file.version} if file.version else {}
        ranged = f"bytes={offset}-{offset + length - 1}"

        async def read() -> bytes:
            answer = await self._files._call_s3("get_object", Bucket=bucket, Key=key, Range=ranged, **only)  # noqa: SLF001 - the public name waits for the head of the answer only
            body = answer["Body"]
            try:
                return bytes(await body.read())
            finally:
                body.close()

        try:
            with _errors(where_is(file)):
                found = bytes(sync(self._files.loop, read))
        except _ChangedMeanwhile as error:
            raise changed(file) from error.__cause__
        except _BeyondTheEnd:
            return b""
        if file.size_bytes is not None and len(found) < min(length, file.size_bytes - offset):
            raise StorageUnavailable(
                f"{where_is(file)} cannot be read now: the store answered with a part of the range"
            )
        return found

    def stream(self, file: FileRef) -> Stream:
        """Open the object at its beginning."""
        return PieceStream(self, file)

    def see_that_it_is_the_same(self, file: FileRef) -> None:
        """Compare the ETag with the one that was planned."""
        bucket, _, key = file.uri.removeprefix("s3://").partition("/")
        with _errors(where_is(file)):
            head = self._files.call_s3("head_object", Bucket=bucket, Key=key)
        if file.version and file.version != _version(head):
            raise changed(file)

    def _one(self, bucket: str, key: str) -> FileRef | None:
        uri = f"s3://{bucket}/{key}"
        try:
            with _errors(f'"{uri}"'):
                head = self._files.call_s3("head_object", Bucket=bucket, Key=key)
        except InputMissing:
            return None
        name = key.rpartition("/")[2]
        return FileRef(uri=uri, size_bytes=head["ContentLength"], version=_version(head), name=name)

    def _listed(self, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
        more: dict[str, str] = {}
        while True:
            with _errors(f'"s3://{bucket}/{prefix}"'):
                page = self._files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **more)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}


class _ChangedMeanwhile(Exception):  # noqa: N818 - it says what happened
    """The store has another version of the object."""


class _BeyondTheEnd(Exception):  # noqa: N818 - it says what happened
    """The object is shorter than the place that was asked for."""


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """Say what an error of the store means for the input of a job."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, NoRegionError) as error:
        raise InputUnusable(f"{where} cannot be read: {error}; set objectStore in the chart's values") from error
    except ParamValidationError as error:
        raise InputUnusable(
            f"{where} is no usable address: that is no name of a bucket or object; correct uri"
        ) from error
    except (BotoCoreError, ConnectionFailed, TimeoutError) as error:
        raise StorageUnavailable(f"{where} cannot be read now: {type(error).__name__}: {error}") from error
    except (OSError, ClientError) as error:
        raise _translated(error, where) from error


def _translated(error: Exception, where: str) -> Exception:
    """Choose by the store's own code: what s3fs makes of it knows fewer differences."""
    code = _code(error)
    if code in _CHANGED:
        return _ChangedMeanwhile()
    if code in _BEYOND_THE_END:
        return _BeyondTheEnd()
    if code in _MISSING or isinstance(error, FileNotFoundError):
        return InputMissing(f"there is no {where}: {error}; put it there, or correct uri")
    if code in _REFUSED or isinstance(error, PermissionError):
        return InputUnusable(
            f"{where} cannot be read: {code or error}; let the keys of objectStore in the chart's values "
            "list and read it"
        )
    if code in _BAD_REQUEST:
        return InputUnusable(f"{where} cannot be read: {code}: {error}; correct uri, or the region in objectStore")
    return StorageUnavailable(f"{where} cannot be read now: {code or type(error).__name__}: {error}")


def _code(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, ClientError):
            return str(error.response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


def _version(found: Mapping[str, Any]) -> str:
    return str(found.get("ETag") or found.get("LastModified") or "")
