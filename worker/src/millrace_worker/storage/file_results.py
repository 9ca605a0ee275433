"""Results as part files in a folder: part-*, errors/part-*, and manifest.json once the job is done.

A shard's files have its number, so a shard that is written again replaces them, and in the order of their names they
are in the order of the input; so are the records in each.

A folder belongs to one job: while it is written to, the one that .millrace-job names, then the one of the manifest.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

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
from millrace_worker.storage.json_lines import failure_lines, result_text
from millrace_worker.storage.outcome import Results

CHECKPOINTS_FOLDER: Final = ".checkpoints"
OWNER_FILE: Final = ".millrace-job"
_PART: Final = re.compile(r"(?:errors/)?part-\d{5,}\.(?:jsonl|parquet)")
_CHECKPOINT: Final = re.compile(r"(\d{5,})\.json")
_OWN_FOLDERS: Final = ("", ERRORS_FOLDER, REDRIVEN_FOLDER, f"{REDRIVEN_FOLDER}/{ERRORS_FOLDER}")


class _Owner(BaseModel):
    """Whose the folder is while it is written to."""

    uid: str = ""
    job: str = ""


class FileResults:
    """The files of one job in one folder."""

    def __init__(
        self,
        folder: Folder,
        *,
        uid: str,
        writing: Writing,
        job: str = "",
        dry_run: bool = False,
        is_active: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._folder = folder
        self._uid = uid
        self._job = job
        self._is_active = is_active
        """Says of a uid whether its job is under way."""
        self._writing = writing
        self._dry_run = dry_run
        self._checkpoints = checkpoints_folder(uid)
        self._held: Mapping[str, int] | None = None

    @property
    def uri(self) -> str:
        """Where people find the results."""
        return self._folder.uri

    @property
    def refused(self) -> Mapping[int, RecordFailure]:
        """Answer nothing: a file takes results of any size."""
        return {}

    def prepare(self) -> None:
        """See that the folder can be written, and take it unless it is another job's."""
        self._folder.check_writable()
        if self._writing.format == ResultFormat.PARQUET:
            _parquet()
        other = self._other_manifest()
        if other is not None and not other.dry_run and self._writing.existing_results == ExistingResults.REFUSE:
            raise self._held_by(other)
        self._refuse_files_of_others()
        self._take()
        if other is not None:
            # Where it stands, all is there: it goes before the first part that is not of its job.
            self._folder.remove([MANIFEST_FILE])

    def _refuse_files_of_others(self) -> None:
        """Refuse a folder with files that would be taken for parts and that no job of ours answers for.

        They may be anybody's, the input among them: much writes files of these names.
        """
        if any(self._folder.get(name) is not None for name in (OWNER_FILE, MANIFEST_FILE)):
            return
        foreign = sorted(name for name in self._sizes() if _PART.fullmatch(name))
        if foreign:
            raise OutputUnwritable(
                f"{self.uri} holds files that no job is known to have written, {foreign[0]} first of {len(foreign)}, "
                "and results would take their place; choose another path"
            )

    def _take(self) -> None:
        own = _Owner(uid=self._uid, job=self._job).model_dump_json().encode()
        if self._folder.create(OWNER_FILE, own):
            return
        owner = self._owner()
        if owner.uid == self._uid:
            return
        if self._writing.existing_results == ExistingResults.REFUSE and owner.uid and self._is_active(owner.uid):
            raise OutputUnwritable(
                f'{self.uri} is being written by job "{owner.job}" (uid {owner.uid}); choose another path, or create '
                "the job anew when that one has ended"
            )
        self._folder.put(OWNER_FILE, own)

    def _owner(self) -> "_Owner":
        """Answer whose the folder is while it is written to; nobody's without a name that can be read."""
        try:
            return _Owner.model_validate_json(self._folder.get(OWNER_FILE) or b"{}")
        except ValidationError:
            return _Owner()

    def _see_that_it_is_ours(self) -> None:
        owner = self._owner()
        if owner.uid not in {"", self._uid}:
            raise OutputUnwritable(
                f'{self.uri} was taken over by job "{owner.job}" (uid {owner.uid}) while this one ran; give each job a '
                "path of its own, or let one end before the next begins"
            )

    def _other_manifest(self) -> Manifest | None:
        """Answer the manifest that is not this job's."""
        text = self._folder.get(MANIFEST_FILE)
        if text is None:
            return None
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            raise OutputUnwritable(
                f"{self.uri} holds a {MANIFEST_FILE} that is none of Millrace; choose another path"
            ) from error
        return None if manifest.uid == self._uid else manifest

    def _held_by(self, other: Manifest) -> OutputUnwritable:
        return OutputUnwritable(
            f'{self.uri} holds the results of job "{other.job}" (uid {other.uid}); choose another path, or '
            "set output.existingResults to Replace"
        )

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
        self._see_that_it_is_ours()
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
        self._see_that_it_is_ours()
        if (other := self._other_manifest()) is not None:
            raise self._held_by(other)
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
        # From here on the manifest says whose it is.
        self._folder.remove([OWNER_FILE])
        self._folder.tidy(_OWN_FOLDERS, gone=self._checkpoints)
        return f"{self.uri}/{MANIFEST_FILE}"

    def _encoded(self, results: Results, outputs: Sequence[TensorSpec]) -> bytes:
        if self._writing.format == ResultFormat.JSONL:
            return result_text(results, self._writing.join)
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


def checkpoints_folder(uid: str) -> str:
    """Say where the checkpoints of a job lie, relative to its output."""
    return f"{CHECKPOINTS_FOLDER}/{uid}"


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
