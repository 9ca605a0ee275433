"""A job of a million records, watched, with its report: `python -m millrace_demo.million --help`.

It needs the platform of the demonstration, and uses kubectl alone.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from rich.console import Console
from rich.table import Table

from millrace_contracts.results import Manifest
from millrace_demo.errors import DemoError, PredictionsError
from millrace_demo.kubectl import Kubectl, KubernetesObject
from millrace_demo.progress import display_for
from millrace_demo.report import show_pool_history
from millrace_demo.run_job import CLAIM_PATH, DATA_POD, JobRun

RECORDS_JOB: Final = "million-records"
DATA_LIMIT_SECONDS: Final = 600
JOB_LIMIT_SECONDS: Final = 3600.0
ESTIMATE_FROM_PERCENT: Final = 25
"""From here on the operator's estimate of the end is to be relied on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of the job, by its status and its manifest."""

    records: int
    failed: int
    tasks: int
    seconds: float
    """From the first start of a task to the last end, and the manifest."""
    waited_seconds: float
    """From the job's submission to its first task."""
    most_pods: int
    parts: int
    stored_bytes: int
    worst_estimate_percent: float | None
    """How far the estimated end was from the real one at most, of what was left; None where none was seen."""

    @classmethod
    def of(cls, sights: Sequence[KubernetesObject], manifest: Manifest, *, most_pods: int) -> Self:
        """Read the last sight of the job, and the estimates of those before."""
        status: dict[str, Any] = sights[-1]["status"]
        begun, ended = (datetime.fromisoformat(status[name]) for name in ("startTime", "finishTime"))
        first_task = datetime.fromisoformat(manifest.started_at) if manifest.started_at else begun
        return cls(
            records=status["records"]["total"],
            failed=status["records"]["failed"],
            tasks=status["tasks"]["total"],
            seconds=max((ended - first_task).total_seconds(), 1.0),
            waited_seconds=max((first_task - begun).total_seconds(), 0.0),
            most_pods=most_pods,
            parts=len(manifest.parts),
            stored_bytes=sum(part.size_bytes or 0 for part in manifest.parts),
            worst_estimate_percent=_worst_estimate(sights, begun=first_task, ended=ended),
        )

    @property
    def records_per_second(self) -> float:
        """Of the whole job, cold start left out."""
        return self.records / self.seconds


def _worst_estimate(sights: Sequence[KubernetesObject], *, begun: datetime, ended: datetime) -> float | None:
    """Answer the largest error of the estimated end, in percent of the whole time that the job took."""
    took = max((ended - begun).total_seconds(), 1.0)
    errors = [
        100 * abs((datetime.fromisoformat(estimate) - ended).total_seconds()) / took
        for sight in sights
        if (estimate := (status := sight.get("status", {})).get("estimatedCompletionTime"))
        and not status.get("finishTime")
        and status.get("percentComplete", 0) >= ESTIMATE_FROM_PERCENT
    ]
    return max(errors, default=None)


def show_report(console: Console, report: Report) -> None:
    """Print the report."""
    table = Table(title="The report", title_justify="left", show_header=False)
    worst = report.worst_estimate_percent
    for name, value in (
        ("records", f"{report.records:,}, {report.failed:,} of them failed"),
        ("time", f"{report.seconds:.0f} s, after {report.waited_seconds:.0f} s until the first task began"),
        ("throughput", f"{report.records_per_second:,.0f} records a second"),
        ("tasks", f"{report.tasks:,}"),
        ("pods", f"{report.most_pods} at most"),
        ("results", f"{report.parts:,} files of {report.stored_bytes / 1e6:.1f} MB together, and their manifest"),
        (
            f"estimate of the end, from {ESTIMATE_FROM_PERCENT} % on",
            "not seen" if worst is None else f"off by {worst:.0f} % of the job's time at most",
        ),
    ):
        table.add_row(name, value)
    console.print(table)


def have_records(kubectl: Kubectl, manifest: str) -> str:
    """Have the input on the claim; answers what its writer said."""
    kubectl.run("delete", "job", RECORDS_JOB, "--ignore-not-found", "--wait")
    kubectl.run("apply", f"--filename={manifest}")
    limit = f"--timeout={DATA_LIMIT_SECONDS}s"
    kubectl.run("wait", "--for=condition=Complete", limit, f"job/{RECORDS_JOB}", limit_seconds=DATA_LIMIT_SECONDS + 30)
    return kubectl.run("logs", f"job/{RECORDS_JOB}").decode(errors="replace").strip()


def read_manifest(kubectl: Kubectl, job: KubernetesObject) -> Manifest:
    """Read the manifest from the claim; raise unless it says what status says."""
    path = job["spec"]["output"]["persistentVolumeClaim"]["path"]
    text = kubectl.run("exec", DATA_POD, "--", "cat", f"{CLAIM_PATH}/{path}/manifest.json")
    manifest = Manifest.model_validate(json.loads(text))
    written = sum(part.records for part in manifest.parts)
    if written != job["status"]["records"]["succeeded"]:
        raise PredictionsError(
            f"the manifest has {written} results, and status says {job['status']['records']['succeeded']} succeeded"
        )
    return manifest


def demonstrate(kubectl: Kubectl, console: Console, *, data: str, job: str) -> None:
    """Write the records, run the job, and show its progress, its pool and its report."""
    console.print("==> The records", style="bold")
    console.print(f"  {have_records(kubectl, data)}", soft_wrap=True)
    run = JobRun(kubectl=kubectl, console=console, manifest=job, limit_seconds=JOB_LIMIT_SECONDS)
    with run.watching() as watching:
        console.print("\n==> The job", style="bold")
        run.apply(watching)
        with display_for(console) as display:
            ended = run.follow(watching, display)
        console.print(f"  {ended.reason}: {ended.message}", soft_wrap=True)
    manifest = read_manifest(kubectl, run.sights[-1])
    show_pool_history(console, run.history.rows())
    show_report(console, Report.of(run.sights, manifest, most_pods=run.history.most_pods))


def main() -> int:
    """Run the job and answer the exit status."""
    parser = argparse.ArgumentParser(prog="python -m millrace_demo.million", description="Predict a million records.")
    parser.add_argument("--namespace", default="millrace", help="namespace of the platform")
    parser.add_argument("--data", default="manifests/samples/million-data.yaml", help="what writes the records")
    parser.add_argument("--job", default="manifests/samples/million-job.yaml", help="file with the PredictionJob")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    try:
        demonstrate(Kubectl(arguments.namespace), console, data=arguments.data, job=arguments.job)
    except DemoError as error:
        sys.stderr.write(f"\nFAILED: {error}\n  `make demo` brings up what this needs\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the job goes on without being watched, `kubectl get pjob` shows it\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
