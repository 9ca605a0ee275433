"""What the demonstration itself knows about the held-out scans, to hold it against what the platform says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from millrace_demo.errors import DemoError
from millrace_demo.layout import INPUT, LABELS_FILE, RECORDS_PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """True labels and pixels by the scan's key."""

    labels: Mapping[str, int]
    pixels: Mapping[str, list[int]]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read them from the folder that `train` wrote; raise DemoError when it has not run."""
        try:
            labels = json.loads((folder / LABELS_FILE).read_text())
            lines = (folder / "claim" / RECORDS_PATH).read_text().splitlines()
        except OSError as error:
            raise DemoError(f"{error}; run `python -m millrace_demo.train --out {folder}` first") from error
        records = [json.loads(line) for line in lines]
        return cls(labels=labels, pixels={record["key"]: record[INPUT] for record in records})
