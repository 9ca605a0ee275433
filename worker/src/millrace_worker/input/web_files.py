"""Input files behind URLs.

A server that knows Range requests is asked for parts; of any other the file is read from its beginning, and a shard
goes on where the one before it ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx

from millrace_contracts.inputs import FileRef, HttpInput
from millrace_worker.errors import InputMissing, InputUnusable, StorageUnavailable
from millrace_worker.input.claim_files import changed
from millrace_worker.input.store import PIECE_BYTES, PieceStream, Stream, where_is, without_secrets

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_LATER: Final = frozenset({408, 425, 429})
_MAX_REMEMBERED: Final = 1000


class WebFiles:
    """HTTP servers as places of input files."""

    def __init__(self) -> None:
        # A proxy of the environment is the cluster's way out, so it counts. What is packed for the way only would
        # have another length than the ranges are about.
        self._client = httpx.Client(
            timeout=_TIMEOUT, follow_redirects=True, headers={"Accept-Encoding": "identity", "User-Agent": "millrace"}
        )
        self._ranges: dict[str, bool] = {}

    def files(self, source: HttpInput) -> list[FileRef]:
        """Look at each URL; the order is the job's."""
        found = [self._look_at(url) for url in source.urls]
        return [file.model_copy(update={"name": name}) for file, name in zip(found, _names(source.urls), strict=True)]

    def knows_ranges(self, file: FileRef) -> bool:
        """Say whether the server answers with parts; it is asked once."""
        if file.uri not in self._ranges:
            self._look_at(file.uri)
        return self._ranges.get(file.uri, False)

    def read_range(self, file: FileRef, offset: int, length: int) -> bytes:
        """Answer the bytes of a range, fewer only where the file ends."""
        if length <= 0 or (file.size_bytes is not None and offset >= file.size_bytes):
            return b""
        pieces: list[bytes] = []
        with self._errors(file.uri), self._asked(file.uri, f"bytes={offset}-{offset + length - 1}") as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return b""
            _refuse_another_version(answer, file)
            if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                raise StorageUnavailable(f"{where_is(file)} cannot be read now: its server gave parts before, not now")
            # Not what is unpacked: the ranges are about what is stored.
            pieces.extend(answer.iter_raw(PIECE_BYTES))
        return b"".join(pieces)

    def stream(self, file: FileRef) -> Stream:
        """Open the file at its beginning."""
        return PieceStream(self, file) if self.knows_ranges(file) else WebStream(self, file)

    def see_that_it_is_the_same(self, file: FileRef) -> None:
        """Compare ETag or time of change with those that were planned.

        Not where the server knows no ranges: there all of a file is one answer, which began as it was planned.
        """
        if self.knows_ranges(file):
            with self._errors(file.uri), self._asked(file.uri, "bytes=0-0") as answer:
                _refuse_another_version(answer, file)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def open(self, file: FileRef) -> httpx.Response:
        """Ask for the whole file; whoever asks closes the answer."""
        with self._errors(file.uri):
            answer = self._client.send(self._client.build_request("GET", file.uri), stream=True)
            try:
                _refuse_errors(answer, file.uri)
                _refuse_another_version(answer, file)
            except BaseException:
                answer.close()
                raise
            return answer

    def _look_at(self, url: str) -> FileRef:
        """Ask for the first byte: that shows more than HEAD, which many servers answer otherwise or not at all."""
        with self._errors(url), self._asked(url, "bytes=0-0") as answer:
            knows = answer.status_code != httpx.codes.OK
            if len(self._ranges) >= _MAX_REMEMBERED:
                self._ranges.clear()
            self._ranges[url] = knows
            return FileRef(uri=url, size_bytes=_size(answer), version=_version(answer))

    @contextmanager
    def _asked(self, url: str, ranged: str) -> Iterator[httpx.Response]:
        with self._client.stream("GET", url, headers={"Range": ranged}) as answer:
            if answer.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                _refuse_errors(answer, url)
            yield answer

    @contextmanager
    def _errors(self, url: str) -> Iterator[None]:
        with web_errors(url):
            yield


class WebStream:
    """A file whose server only gives all of it: the connection is held open from one read to the next."""

    def __init__(self, files: WebFiles, file: FileRef) -> None:
        self._file = file
        self._answer = files.open(file)
        self._pieces = self._answer.iter_raw(PIECE_BYTES)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Answer the next bytes, at most so many; none at the end."""
        if not self._rest:
            with web_errors(self._file.uri):
                self._rest = memoryview(next(self._pieces, b""))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def close(self) -> None:
        """Give the connection back."""
        self._answer.close()


@contextmanager
def web_errors(url: str) -> Iterator[None]:
    """Say what an error on the way means for the input of a job."""
    where = f'"{without_secrets(url)}"'
    try:
        yield
    except httpx.TooManyRedirects as error:
        raise InputUnusable(f"{where} leads from one address to the next without end; correct the URL") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InputUnusable(f"{where} is no usable address, or leads to none; correct the URL") from error
    except httpx.HTTPError as error:
        # The text of some of these shows the whole URL, and with it what gives access.
        raise StorageUnavailable(f"{where} cannot be read now: {type(error).__name__}") from error


def _refuse_errors(answer: httpx.Response, url: str) -> None:
    status, where = answer.status_code, f'"{without_secrets(url)}"'
    if status in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
        return
    if status in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
        raise InputMissing(f"there is nothing at {where} (HTTP {status}); put it there, or correct the URL")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _LATER:
        raise StorageUnavailable(f"{where} cannot be read now: its server answers HTTP {status}")
    raise InputUnusable(f"{where} cannot be read: its server answers HTTP {status}; give a URL that needs no more")


def _refuse_another_version(answer: httpx.Response, file: FileRef) -> None:
    size = _size(answer)
    is_another_size = None not in {size, file.size_bytes} and size != file.size_bytes
    if is_another_size or (file.version and _version(answer) not in {"", file.version}):
        raise changed(file)


def _size(answer: httpx.Response) -> int | None:
    """Answer the size of the whole file, where the server says it."""
    if answer.status_code == httpx.codes.OK:
        text = answer.headers.get("Content-Length", "")
    else:
        text = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isascii() and text.isdigit() else None


def _version(answer: httpx.Response) -> str:
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""


def _names(urls: list[str]) -> list[str]:
    """Name files by the end of their path, by all of it, or by their place in the list: what tells them apart."""
    paths = [urlsplit(url) for url in urls]
    for names in (
        [unquote(path.path.rpartition("/")[2]) or path.netloc.rpartition("@")[2] for path in paths],
        [f"{path.netloc.rpartition('@')[2]}{unquote(path.path)}" for path in paths],
    ):
        if len(set(names)) == len(names):
            return names
    return [f"{i}/{unquote(path.path.rpartition('/')[2])}" for i, path in enumerate(paths, start=1)]
