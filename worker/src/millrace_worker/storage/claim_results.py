"""Results as JSONL part files in a folder of a claim."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from millrace_contracts.results import Manifest, RecordFailure, RecordResult, error_file, part_file
from millrace_worker.storage.claims import Claims, output_error, remove_leftovers, write_whole

MANIFEST_FILE: Final = "manifest.json"
_PART: Final = re.compile(r"part-(\d{5,})\.jsonl")


class ClaimResults:
    """One folder: part-*.jsonl, errors/part-*.jsonl, and manifest.json once the job is done."""

    def __init__(self, claims: Claims, *, claim: str, path: str) -> None:
        self._claims = claims
        self._claim = claim
        self._path = path.strip("/")

    @property
    def uri(self) -> str:
        """Where people find the results."""
        return f"pvc://{self._claim}/{self._path}".rstrip("/")

    def prepare(self) -> None:
        """Make the folder and try to write into it; an earlier job's manifest goes, its parts will be replaced."""
        with self._folder() as folder:
            write_whole(folder / ".writable", [])
            (folder / ".writable").unlink(missing_ok=True)
            (folder / MANIFEST_FILE).unlink(missing_ok=True)

    def write_shard(self, index: int, results: Sequence[RecordResult], failures: Sequence[RecordFailure]) -> None:
        """Write the part file, and the errors file if there are errors."""
        with self._folder() as folder:
            write_whole(folder / part_file(index), (result.model_dump_json() for result in results))
            errors = folder / error_file(index)
            if failures:
                write_whole(errors, (failure.model_dump_json() for failure in failures))
            else:
                errors.unlink(missing_ok=True)

    def part_names(self, shards_total: int) -> list[str]:
        """Name the part files in input order."""
        return [part_file(index) for index in range(shards_total)]

    def write_manifest(self, manifest: Manifest, *, shards_total: int) -> str:
        """Remove what earlier jobs and killed writers left in the folder, then write manifest.json."""
        with self._folder() as folder:
            for place in (folder, folder / "errors"):
                remove_leftovers(place)
                for file in place.glob("part-*.jsonl"):
                    name = _PART.fullmatch(file.name)
                    if name and int(name.group(1)) >= shards_total:
                        file.unlink(missing_ok=True)
            write_whole(folder / MANIFEST_FILE, [manifest.model_dump_json(indent=2)])
        return f"{self.uri}/{MANIFEST_FILE}"

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        try:
            yield self._claims.output_folder(self._claim, self._path)
        except OSError as error:
            raise output_error(error, where=f'"{self._path}" on claim "{self._claim}"') from error
