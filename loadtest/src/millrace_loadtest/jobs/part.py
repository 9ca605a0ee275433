"""What every part's program does around its measurement: a folder of its own, the report, and the machine's state."""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from millrace_loadtest.live.cluster import clean_up_when_told_to_stop
from millrace_loadtest.live.progress import say
from millrace_loadtest.pipeline import servers


def main(measure: Callable[[Path], dict[str, Any]], *, name: str) -> None:
    """Measure in a folder that goes afterwards, and write the report."""
    parser = argparse.ArgumentParser(description=f"Measure the part {name} of the benchmark of PredictionJobs.")
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    clean_up_when_told_to_stop()
    conditions = servers.conditions()
    with tempfile.TemporaryDirectory(prefix=f"millrace-jobs-{name}-") as text:
        folder = Path(text)
        # Containers run as other users, and read models and settings in it.
        folder.chmod(0o755)
        figures = {"conditions": conditions, **measure(folder)}
    arguments.report.write_text(json.dumps(figures, indent=2) + "\n")
    say(json.dumps(figures, indent=2))
