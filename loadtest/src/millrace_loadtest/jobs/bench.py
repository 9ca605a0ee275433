"""Run the parts of the benchmark of PredictionJobs one after the other, and compare their figures with the thresholds.

Each part is a program of its own that starts its servers, writes its figures as JSON and removes what it started, so
that one that fails spoils no other.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from millrace_loadtest.live.comparison import verdicts
from millrace_loadtest.live.progress import say
from millrace_loadtest.pipeline.bench import PART_LIMIT_SECONDS, Figures, checks

LOCAL_PARTS: Final = ("throughput", "scaling", "kills", "planning", "fairness", "estimate")
"""Containers on this machine are all they need."""
CLUSTER_PARTS: Final = ("overhead", "many_jobs")
"""They need the local cluster, or its API server."""
PARTS: Final = (*LOCAL_PARTS, *CLUSTER_PARTS)
GROUPS: Final = {"local": LOCAL_PARTS, "cluster": CLUSTER_PARTS}


def named(words: Sequence[str]) -> list[str]:
    """Turn names of parts and groups into parts, each once; nothing named is everything."""
    wanted = [part for word in words or GROUPS for part in GROUPS.get(word, (word,))]
    return list(dict.fromkeys(wanted))


def measure(part: str, folder: Path) -> Figures:
    """Run one part; answers its figures, or why there are none."""
    report = folder / f"{part}.json"
    command = [sys.executable, "-m", f"millrace_loadtest.jobs.{part}", "--report", str(report)]
    with subprocess.Popen(command) as process:  # noqa: S603 - our own modules
        try:
            ended_with = process.wait(PART_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            # Politely: it has containers and workers to take away.
            process.terminate()
            return {"failed": f"it took longer than {PART_LIMIT_SECONDS} s"}
    if ended_with != 0 or not report.exists():
        return {"failed": f"it ended with {ended_with}; its messages are above"}
    figures: Figures = json.loads(report.read_text())
    return figures


def run(names: Sequence[str], *, thresholds: Path, report: Path) -> bool:
    """Measure the named parts, keep the others' last figures, and say whether every threshold of the named is met."""
    known: dict[str, Figures] = json.loads(report.read_text())["parts"] if report.exists() else {}
    limits = yaml.safe_load(thresholds.read_text())
    with tempfile.TemporaryDirectory() as folder:
        for position, name in enumerate(names, start=1):
            say(f"\n==> [{position}/{len(names)}] {name}")
            known[name] = measure(name, Path(folder))
            # At once: a later part may be interrupted, and this one took minutes.
            told = checks(known, limits)
            report.write_text(json.dumps({"parts": known, "thresholds": told}, indent=2) + "\n")
    named_now = checks({name: known[name] for name in names}, limits)
    print(f"\n{verdicts(named_now)}")  # noqa: T201 - the report is for the terminal
    return all(check["is_met"] for check in named_now)


def main() -> int:
    """Measure, compare and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    words = ", ".join((*PARTS, *GROUPS))
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {words}; all of them by default")
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    names = named(arguments.parts)
    if unknown := set(names) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; choose from {words}")
    return 0 if run(names, thresholds=arguments.thresholds, report=arguments.report) else 1


if __name__ == "__main__":
    sys.exit(main())
