"""Run the parts of the loop's benchmark one after the other, and compare what they measured with the thresholds.

Each part is a program of its own that starts its servers, writes its figures as JSON and removes what it started, so
that one that fails spoils no other.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from millrace_loadtest.live.comparison import verdicts

PARTS: Final = ("gateway", "ingest", "recommender", "outages")
PART_LIMIT_SECONDS: Final = 1800
Figures = Mapping[str, Any]


def measure(part: str, folder: Path) -> Figures:
    """Run one part; answers its figures, or why there are none."""
    report = folder / f"{part}.json"
    command = [sys.executable, "-m", f"millrace_loadtest.pipeline.{part}", "--report", str(report)]
    try:
        done = subprocess.run(command, check=False, timeout=PART_LIMIT_SECONDS)  # noqa: S603 - our own modules
    except subprocess.TimeoutExpired:
        return {"failed": f"it took longer than {PART_LIMIT_SECONDS} s"}
    if done.returncode != 0 or not report.exists():
        return {"failed": f"it ended with {done.returncode}; its messages are above"}
    figures: Figures = json.loads(report.read_text())
    return figures


def checks(parts: Mapping[str, Figures], thresholds: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare figures with thresholds; a part that did not run is left out, a figure that is missing meets nothing."""
    told = []
    for name, threshold in thresholds.items():
        if threshold["part"] not in parts:
            continue
        measured = parts[threshold["part"]].get(threshold["figure"])
        bound = {key: threshold[key] for key in ("at_most", "at_least") if key in threshold}
        told.append({"name": name, "measured": measured, **bound, "is_met": _is_met(measured, bound)})
    return told


def _is_met(measured: float | None, bound: Mapping[str, float]) -> bool:
    if measured is None:
        return False
    return measured <= bound["at_most"] if "at_most" in bound else measured >= bound["at_least"]


def run(names: Sequence[str], *, thresholds: Path, report: Path) -> bool:
    """Measure the named parts, keep the others' last figures, and say whether every threshold is met."""
    known: dict[str, Figures] = json.loads(report.read_text())["parts"] if report.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for position, name in enumerate(names, start=1):
            print(f"\n==> [{position}/{len(names)}] {name}", flush=True)  # noqa: T201 - progress for the terminal
            known[name] = measure(name, Path(folder))
    told = checks(known, yaml.safe_load(thresholds.read_text()))
    report.write_text(json.dumps({"parts": known, "thresholds": told}, indent=2) + "\n")
    print(f"\n{verdicts(told)}")  # noqa: T201 - the report is for the terminal
    return all(check["is_met"] for check in told)


def main() -> int:
    """Measure, compare and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them by default")
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    return 0 if run(arguments.parts or PARTS, thresholds=arguments.thresholds, report=arguments.report) else 1


if __name__ == "__main__":
    sys.exit(main())
