"""The files that a job writes are never its input, also where its results stand below that.

A job that is planned again, or its successor in a schedule, finds them there.
"""

import posixpath
import re
from collections.abc import Sequence
from typing import Final

from millrace_contracts.inputs import FileRef
from millrace_contracts.outputs import ClaimOutput, ObjectStoreOutput, Output
from millrace_contracts.results import ERRORS_FOLDER, MANIFEST_FILE, REDRIVEN_FOLDER
from millrace_worker.errors import InputMissing

_OWN: Final = re.compile(
    rf"(?:{REDRIVEN_FOLDER}/)?(?:{ERRORS_FOLDER}/)?part-\d{{5,}}(?:-\d{{5,}})?\.(?:jsonl|parquet)"
    rf"|{re.escape(MANIFEST_FILE)}|\.checkpoints/.*|(?:.*/)?\.[^/]+\.tmp"
)


def without_own(files: Sequence[FileRef], output: Output | None) -> list[FileRef]:
    """Leave out what the job writes to its output, or raise InputMissing where nothing else is left."""
    match output:
        case ClaimOutput():
            folder = _claim_uri(f"claim:{output.claim_name}/{output.path}")
        case ObjectStoreOutput():
            folder = output.uri.rstrip("/")
        case _:
            return list(files)
    prefix = f"{folder.rstrip('/')}/"
    found = [file for file in files if not _is_own(file, prefix)]
    if files and not found:
        raise InputMissing(
            "all files of the input have names of results and lie where output would replace them; "
            "give output another folder or prefix"
        )
    return found


def _is_own(file: FileRef, prefix: str) -> bool:
    uri = _claim_uri(file.uri) if file.uri.startswith("claim:") else file.uri
    return uri.startswith(prefix) and _OWN.fullmatch(uri.removeprefix(prefix)) is not None


def _claim_uri(uri: str) -> str:
    """Write a path on a claim in the one way that it has without detours."""
    claim, _, path = uri.partition("/")
    inside = posixpath.normpath(path.strip("/"))
    return claim if inside == "." else f"{claim}/{inside}"
