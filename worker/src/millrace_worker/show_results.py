"""Write the results of a job to standard output as lines of JSON.

    python -m millrace_worker.show_results URI [--failed]

The command line of users runs it in a pod, which has the claims and the object store that they may not have.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from millrace_contracts.results import ERRORS_FOLDER, Manifest
from millrace_worker.errors import WorkerError
from millrace_worker.storage.claims import Claims
from millrace_worker.storage.folders import ClaimFolder, Folder
from millrace_worker.storage.object_folder import ObjectFolder, ObjectStore

MANIFEST: Final = "manifest.json"
_PARQUET: Final = ".parquet"


def lines(folder: Folder, *, is_failed: bool) -> Iterator[bytes]:
    """Answer each line of the parts, in input order."""
    for name in _parts(folder, is_failed=is_failed):
        content = folder.get(name)
        if content is None:
            raise WorkerError(f"{name} is not in {folder.uri} any more; was it removed by hand?")
        yield from _rows(content) if name.endswith(_PARQUET) else content.splitlines()


def _parts(folder: Folder, *, is_failed: bool) -> Sequence[str]:
    """Name the parts by the manifest; those that are there, where the job did not come as far."""
    manifest = folder.get(MANIFEST)
    if manifest is not None:
        known = Manifest.model_validate_json(manifest)
        return [part.name for part in (known.errors if is_failed else known.parts)]
    results, errors = (
        sorted(name for name in folder.sizes(below) if name.rpartition("/")[2].startswith("part-"))
        for below in ("", ERRORS_FOLDER)
    )
    if not results and not errors:
        raise WorkerError(f"there is nothing in {folder.uri} yet; `millrace jobs show` says how far the job is")
    return errors if is_failed else results


def _rows(content: bytes) -> Iterator[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - optional, and only results in Parquet need it
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    from millrace_worker.storage.json_lines import dumps  # noqa: PLC0415 - as above

    for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches():
        for row in batch.to_pylist():
            yield dumps(_like_a_line(row)).rstrip(b"\n")


def _like_a_line(row: dict[str, Any]) -> dict[str, Any]:
    """Answer a row in the form of a line: the outputs are columns in Parquet, and one field in JSONL."""
    own: dict[str, Any] = {name: row.pop(name) for name in ("key", "line", "input") if name in row}
    return {**own, "outputs": row}


def open_folder(uri: str) -> Folder:
    """Open the place of a job's results."""
    if uri.startswith("s3://"):
        return ObjectFolder(ObjectStore(), uri=uri)
    claim, _, path = uri.removeprefix("pvc://").partition("/")
    root = Path(os.environ.get("MILLRACE_CLAIMS_ROOT", "/var/lib/millrace/claims"))
    return ClaimFolder(Claims(root), claim=claim, path=path)


def main(arguments: Sequence[str]) -> int:
    """Write the lines; answers the exit code."""
    uri, *options = arguments
    try:
        for line in lines(open_folder(uri), is_failed="--failed" in options):
            sys.stdout.buffer.write(line + b"\n")
    except WorkerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
