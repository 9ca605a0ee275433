"""Whether a job's output holds every record exactly once: read from the parts that its manifest names."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PARTS: Final = "part-*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What stands in an output, against what was asked for."""

    lost: int
    """Records that are in no part."""
    twice: int
    """Records too many: a record that stands three times counts two."""
    strange: int
    """Keys that nobody asked for."""


def tally(expected: Iterable[str], found: Iterable[str]) -> Tally:
    """Compare the keys of an input with those of its output."""
    wanted, counted = set(expected), Counter(found)
    return Tally(
        lost=len(wanted - counted.keys()),
        twice=sum(count - 1 for count in counted.values()),
        strange=len(counted.keys() - wanted),
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a finished job."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def named_parts(manifest: dict[str, Any]) -> list[str]:
    """Answer the files of results and of errors that a manifest names."""
    return [part["name"] for part in (*manifest["parts"], *manifest.get("errors", ()))]


def keys_of_parts(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Answer the key of each line of these files."""
    for name in names:
        with (folder / name).open("rb") as stream:
            for line in stream:
                yield json.loads(line)["key"]


def stray_parts(folder: Path, names: Iterable[str]) -> int:
    """Count the parts in the folder that the manifest does not name: whoever reads by pattern would count them."""
    present = {str(file.relative_to(folder)) for file in folder.rglob(PARTS) if file.is_file()}
    return len(present - set(names))
