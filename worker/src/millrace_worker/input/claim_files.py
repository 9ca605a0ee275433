"""Input files on claims."""

import os
from collections.abc import Iterator
from pathlib import Path

from millrace_contracts.inputs import MAX_FILES, ClaimInput, FileRef
from millrace_worker.errors import InputChanged, InputMissing, InputUnusable
from millrace_worker.input.patterns import selection
from millrace_worker.input.store import PieceStream, Stream, where_is
from millrace_worker.storage.claims import Claims, input_error


class ClaimFiles:
    """The mounted claims as a place of input files."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    def files(self, source: ClaimInput) -> list[FileRef]:
        """List the file, or the files of the folder, by their names."""
        claim, path = source.claim_name, source.path
        place = self._claims.input_path(claim, path)
        try:
            if place.is_file():
                return [_ref(place.stat(), claim=claim, path=path, name=place.name)]
            is_taken = selection(source.includes, source.excludes)
            names = [name for name in _walk(place, claim=claim, path=path) if is_taken(name)]
            below = path.strip("/")
            found = []
            for name in sorted(names):
                inside = f"{below}/{name}" if below not in {"", "."} else name
                # A link may lead out of the claim; this says so.
                file = self._claims.input_file(claim, inside)
                found.append(_ref(file.stat(), claim=claim, path=inside, name=name))
        except OSError as error:
            raise input_error(error, claim=claim, path=path) from error
        if not found:
            raise InputMissing(
                f'the folder "{path}" on claim "{claim}" has no file that the job takes; put files there, '
                "or correct the path, includes and excludes"
            )
        if len(found) > MAX_FILES:
            raise too_many_files(f'the folder "{path}" on claim "{claim}"')
        return found

    def knows_ranges(self, file: FileRef) -> bool:  # noqa: ARG002 - other stores must look at the file
        """Say yes."""
        return True

    def read_range(self, file: FileRef, offset: int, length: int) -> bytes:
        """Answer the bytes of a range, fewer only where the file ends."""
        claim, path = _place(file)
        opened = self._claims.input_file(claim, path)
        try:
            with opened.open("rb", buffering=0) as stream:
                if file.version and file.version != _version(os.fstat(stream.fileno())):
                    raise changed(file)
                stream.seek(offset)
                return _read(stream.fileno(), length)
        except OSError as error:
            raise input_error(error, claim=claim, path=path) from error

    def stream(self, file: FileRef) -> Stream:
        """Open the file at its beginning."""
        return PieceStream(self, file)

    def see_that_it_is_the_same(self, file: FileRef) -> None:
        """Compare size and time of change with those that were planned."""
        claim, path = _place(file)
        opened = self._claims.input_file(claim, path)
        try:
            version = _version(opened.stat())
        except OSError as error:
            raise input_error(error, claim=claim, path=path) from error
        if file.version and file.version != version:
            raise changed(file)


def changed(file: FileRef) -> InputChanged:
    """Say that a file is not the one that was planned."""
    return InputChanged(f"{where_is(file)} changed while the job ran; leave its input alone, and create the job anew")


def too_many_files(where: str) -> InputUnusable:
    """Say that somebody named more files than anybody meant."""
    return InputUnusable(
        f"{where} has more than {MAX_FILES:,} files; name a part of it, select by includes, or make fewer larger files"
    )


def _walk(folder: Path, *, claim: str, path: str) -> Iterator[str]:
    def stop(error: OSError) -> None:
        raise input_error(error, claim=claim, path=path) from error

    for place, _, names in os.walk(folder, onerror=stop):
        for name in names:
            yield (Path(place) / name).relative_to(folder).as_posix()


def _read(descriptor: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.read(descriptor, length)):
        pieces.append(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _place(file: FileRef) -> tuple[str, str]:
    claim, _, path = file.uri.removeprefix("claim:").partition("/")
    return claim, path


def _ref(status: os.stat_result, *, claim: str, path: str, name: str) -> FileRef:
    return FileRef(uri=f"claim:{claim}/{path}", size_bytes=status.st_size, version=_version(status), name=name)


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"
