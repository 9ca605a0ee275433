"""Results as part files in a folder: part-*, errors/part-*, and manifest.json once the job is done.

A shard's files have its number, so a shard that is written again replaces them, and in the order of their names they
are in the order of the input; so are the records in each.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from millrace_contracts.outputs import ExistingResults, ResultFormat, Writing
from millrace_contracts.results import (
    ERRORS_FOLDER,
    MANIFEST_FILE,
    REDRIVEN_FOLDER,
    Manifest,
    Part,
    RecordFailure,
    error_file,
    part_file,
    redriven_files,
)
from millrace_worker.errors import OutputUnwritable
from millrace_worker.inference.model import TensorSpec
from millrace_worker.storage.folders import Folder
from millrace_worker.storage.json_lines import failure_lines, result_lines
from millrace_worker.storage.outcome import Results

CHECKPOINTS_FOLDER: Final = ".checkpoints"
_PART: Final = re.compile(r"(?:errors/)?part-\d{5,}\.(?:jsonl|parquet)")
_CHECKPOINT: Final = re.compile(r"(\d{5,})\.json")
_OWN_FOLDERS: Final = ("", ERRORS_FOLDER, REDRIVEN_FOLDER, f"{REDRIVEN_FOLDER}/{ERRORS_FOLDER}")


class FileResults:
    """The files of one job in one folder."""

    def __init__(self, folder: Folder, *, uid: str, writing: Writing, dry_run: bool = False) -> None:
        self._folder = folder
        self._uid = uid
        self._writing = writing
        self._dry_run = dry_run
        self._checkpoints = f"{CHECKPOINTS_FOLDER}/{uid}"
        self._held: Mapping[str, int] | None = None

    @property
    def uri(self) -> str:
        """Where people find the results."""
        return self._folder.uri

    def prepare(self) -> None:
        """See that the folder can be written and holds no other job's results."""
        self._folder.check_writable()
        if self._writing.format == ResultFormat.PARQUET:
            _parquet()
        text = self._folder.get(MANIFEST_FILE)
        if text is None:
            return
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            raise OutputUnwritable(
                f"{self.uri} holds a {MANIFEST_FILE} that is none of Millrace; choose another path"
            ) from error
        if manifest.uid == self._uid:
            return
        if not manifest.dry_run and self._writing.existing_results == ExistingResults.REFUSE:
            raise OutputUnwritable(
                f'{self.uri} holds the results of job "{manifest.job}" (uid {manifest.uid}); choose another path, or '
                "set output.existingResults to Replace"
            )
        # Where it stands, all is there: it goes before the first part that is not of its job.
        self._folder.remove([MANIFEST_FILE])

    def write_shard(
        self, index: int, results: Results, failures: Sequence[RecordFailure], *, outputs: Sequence[TensorSpec] = ()
    ) -> list[Part]:
        """Write the part file, and the errors file if there are errors; answers what was written."""
        names = part_file(index, self._writing.format), error_file(index)
        return self._write(names, None if self._dry_run else results, failures, outputs)

    def write_redriven(
        self,
        index: int,
        position: int | None,
        results: Results,
        failures: Sequence[RecordFailure],
        *,
        outputs: Sequence[TensorSpec] = (),
    ) -> list[Part]:
        """Write what came back from the dead-letter queue into files of their own; they go before the shard's."""
        names = redriven_files(index, position, self._writing.format)
        return self._write(names, results if len(results) else None, failures, outputs)

    def _write(
        self,
        names: tuple[str, str],
        results: Results | None,
        failures: Sequence[RecordFailure],
        outputs: Sequence[TensorSpec],
    ) -> list[Part]:
        parts = []
        if results is not None:
            parts.append(self._put(names[0], self._encoded(results, outputs), records=len(results)))
        if failures:
            parts.append(self._put(names[1], b"".join(failure_lines(failures)), records=len(failures)))
        if gone := [name for name in names if name not in {part.name for part in parts}]:
            # Of an earlier run of this shard, which ended otherwise.
            self._folder.remove(gone)
        return parts

    def write_checkpoint(self, index: int, text: str) -> None:
        """Note beside the parts what the ledger was told of the shard."""
        self._folder.put(f"{self._checkpoints}/{index:05d}.json", text.encode(), durable=False)

    def read_checkpoints(self) -> Iterator[tuple[int, str]]:
        """Answer what was noted for each shard of this job, in no order; a note may be cut off or empty."""
        for name, data in self._folder.get_all(self._folder.sizes(self._checkpoints)):
            if found := _CHECKPOINT.fullmatch(name.rpartition("/")[2]):
                yield int(found.group(1)), data.decode(errors="replace")

    def holds(self, parts: Iterable[Part]) -> bool:
        """Say whether these parts were there, with the sizes that they were written with, when first asked."""
        if self._held is None:
            self._held = self._sizes()
        held = self._held
        return all(held.get(part.name) == part.size_bytes for part in parts)

    def write_manifest(self, manifest: Manifest, *, parts: Mapping[int, Sequence[Part]]) -> str:
        """Remove what earlier jobs and killed writers left, see that every part is there, and write manifest.json."""
        known = list({part.name: part for index in sorted(parts) for part in parts[index]}.values())
        sizes = self._sizes()
        if lost := [part.name for part in known if part.name not in sizes]:
            raise OutputUnwritable(
                f"{self.uri} lacks {len(lost)} of its parts, {lost[0]} first: somebody removed them while the job ran; "
                "create the job anew"
            )
        names = {part.name for part in known}
        self._folder.remove([name for name in sizes if _PART.fullmatch(name) and name not in names])
        known += [Part(name=name) for name in sorted(sizes) if name.startswith(REDRIVEN_FOLDER) and name not in names]
        whole = [part if part.size_bytes == sizes[part.name] else self._looked_at(part) for part in known]
        manifest = manifest.model_copy(
            update={
                "dry_run": self._dry_run,
                "parts": [part for part in whole if not part.holds_errors],
                "errors": [part for part in whole if part.holds_errors],
            }
        )
        self._folder.put(MANIFEST_FILE, manifest.to_json(indent=2).encode() + b"\n")
        self._folder.tidy(_OWN_FOLDERS, gone=self._checkpoints)
        return f"{self.uri}/{MANIFEST_FILE}"

    def _encoded(self, results: Results, outputs: Sequence[TensorSpec]) -> bytes:
        if self._writing.format == ResultFormat.JSONL:
            return b"".join(result_lines(results, self._writing.join))
        return bytes(_parquet().results_table(results, self._writing.join, outputs))

    def _put(self, name: str, data: bytes, *, records: int) -> Part:
        self._folder.put(name, data)
        return _described(name, data, records=records)

    def _sizes(self) -> dict[str, int]:
        return {name: size for folder in _OWN_FOLDERS for name, size in self._folder.sizes(folder).items()}

    def _looked_at(self, part: Part) -> Part:
        """Describe a file that was replaced after it was counted, or that came back from the dead-letter queue."""
        data = self._folder.get(part.name) or b""
        records = _parquet().count_rows(data) if part.name.endswith(".parquet") else data.count(b"\n")
        return _described(part.name, data, records=records)


def _described(name: str, data: bytes, *, records: int) -> Part:
    return Part(name=name, records=records, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _parquet() -> Any:
    # An image of a pool that writes no Parquet need not have pyarrow.
    try:
        from millrace_worker.storage import parquet_rows  # noqa: PLC0415 - optional
    except ImportError as error:
        raise OutputUnwritable(
            "the image of this pool cannot write Parquet; install millrace-worker[files] in it, or choose JSONL"
        ) from error
    return parquet_rows
