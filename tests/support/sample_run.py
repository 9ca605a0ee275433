"""One run of the sample job on an empty pool, with everything that was to be seen of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from claims import read_folder, records_in
from commands import PROJECT_ROOT
from installation import Platform
from kubectl import Resource
from prediction_jobs import KIND, wait_for_end
from waiters import wait_until

SAMPLES: Final = PROJECT_ROOT / "manifests" / "samples"
POOL: Final = "digits"


@dataclass(frozen=True)
class SampleRun:
    """What was to be seen from before the job was applied until the pool was back at zero."""

    job: Resource
    uid: str
    states: list[str]
    """The different values of status.state, in their order."""
    replicas: list[int]
    """The different values of the Deployment's spec.replicas, in their order."""
    decision_at_peak: Resource
    files: dict[str, str]
    results: list[dict[str, Any]]
    labels: dict[str, int]
    """The true label of each scan, which no part of the platform has seen."""


def run_sample(platform: Platform, labels: dict[str, int]) -> SampleRun:
    """Apply manifests/samples/digits-job.yaml and watch until its pool has no pod again."""
    kubectl = platform.kubectl
    kubectl.delete(KIND, "digits")
    platform.wait_for_pool_at(0, pool=POOL)
    with kubectl.watch("deployment", platform.deployment_name(POOL), "{.spec.replicas}") as scale:
        wait_until(lambda: scale.lines, what="the watch to say the replicas before the job", timeout_seconds=60)
        kubectl.run("apply", f"--filename={SAMPLES / 'digits-job.yaml'}")
        with kubectl.watch(KIND, "digits", "{.status.state}") as states:
            decision = wait_until(
                lambda: _decision_above_zero(platform), what="the pool to say why it scales up", timeout_seconds=60
            )
            job = wait_for_end(platform, "digits")
            last_state = job["status"]["state"]
            wait_until(lambda: last_state in states.lines, what="the watch to see the end", timeout_seconds=60)
        platform.wait_for_pool_at(0, pool=POOL)
    files = read_folder(kubectl, job["spec"]["output"]["persistentVolumeClaim"]["path"])
    return SampleRun(
        job=job,
        uid=job["metadata"]["uid"],
        states=states.lines,
        replicas=[int(line) for line in scale.lines],
        decision_at_peak=decision,
        files=files,
        results=records_in(files),
        labels=labels,
    )


def read_labels(trained: Path) -> dict[str, int]:
    """Read the true labels that training left beside the claim's content."""
    labels: dict[str, int] = json.loads((trained / "labels.json").read_text())
    return labels


def _decision_above_zero(platform: Platform) -> Resource | None:
    decision: Resource = platform.pool(POOL).get("status", {}).get("lastDecision", {})
    return decision if decision.get("replicas", 0) > 0 else None
