"""Run the sample job and show everything that a person wants to see of it: `python -m millrace_demo.run_job --help`.

It uses kubectl alone, so each thing that it shows can be had in a terminal by the same words.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from millrace_contracts.resources import PREDICTION_JOBS, WORKER_POOLS
from millrace_demo.errors import DemoError, JobFailedError, JobStalledError, PoolNotIdleError, PredictionsError
from millrace_demo.held_out import HeldOut
from millrace_demo.job_view import JobView, conditions_in_words
from millrace_demo.kubectl import Kubectl, KubernetesObject
from millrace_demo.pool_history import PoolHistory
from millrace_demo.predictions import Prediction, compare, read_predictions
from millrace_demo.progress import ProgressDisplay, display_for
from millrace_demo.report import show_accuracy, show_pool_history, show_predictions, show_scans
from millrace_demo.watching import Sight, Watching

DEPLOYMENTS: Final = "deployments"
DATA_POD: Final = "digits-data"
CLAIM_PATH: Final = "/claim"
"""Where the data pod mounts the claim."""

LEAST_ACCURACY: Final = 0.95
JOB_LIMIT_SECONDS: Final = 300.0
IDLE_LIMIT_SECONDS: Final = 120.0
FIRST_LOOK_LIMIT_SECONDS: Final = 10.0
LOOK_AGAIN_SECONDS: Final = 5.0
"""The display moves on though nothing changes."""


class JobRun:
    """One run of the sample job, from `kubectl apply` until its pool is idle again."""

    def __init__(
        self, *, kubectl: Kubectl, console: Console, manifest: str, limit_seconds: float = JOB_LIMIT_SECONDS
    ) -> None:
        """Learn from the manifest and the cluster which objects to follow."""
        self._limit_seconds = limit_seconds
        self._kubectl = kubectl
        self._console = console
        self._manifest = manifest
        asked: KubernetesObject = json.loads(
            kubectl.run("create", f"--filename={manifest}", "--dry-run=client", "--output=json")
        )
        self._job_name: str = asked["metadata"]["name"]
        self._output_path: str = asked["spec"]["output"]["persistentVolumeClaim"]["path"]
        pool_name: str = asked["spec"]["workerPoolRef"]["name"]
        pool = kubectl.get(WORKER_POOLS, pool_name)
        self._minimum: int = pool["spec"].get("minReplicas", 0)
        self._targets = [
            (PREDICTION_JOBS, self._job_name),
            (WORKER_POOLS, pool_name),
            (DEPLOYMENTS, pool["spec"]["workloadRef"]["name"]),
        ]
        self._applied_at = math.inf
        self._job: KubernetesObject = {}
        self.sights: list[KubernetesObject] = []
        """The job as it was seen, at each change."""
        self.history = PoolHistory()

    def watching(self) -> Watching:
        """Follow the job, its pool and its Deployment while the context is open."""
        return Watching(self._kubectl, self._targets)

    def apply(self, watching: Watching) -> None:
        """Apply the job, after removing an earlier one of that name with its results and after a look at the pool."""
        self._kubectl.run("delete", PREDICTION_JOBS, self._job_name, "--ignore-not-found", "--wait")
        self._in_data_pod("rm", "-rf", f"{CLAIM_PATH}/{self._output_path}")
        deadline = time.monotonic() + FIRST_LOOK_LIMIT_SECONDS
        while not self.history.is_known and (sight := watching.next_sight(deadline - time.monotonic())):
            self._take_in(sight)
        self._applied_at = time.monotonic()
        self._job = self._kubectl.apply(self._manifest)

    def follow(self, watching: Watching, display: ProgressDisplay) -> JobView:
        """Show the job until it has ended; raise when it fails, is deleted or takes too long."""
        deadline = time.monotonic() + self._limit_seconds
        while (job := JobView.of(self._job)).has_succeeded is None:
            if (now := time.monotonic()) >= deadline:
                raise JobStalledError(self._stalled())
            if sight := watching.next_sight(min(deadline - now, LOOK_AGAIN_SECONDS)):
                self._take_in(sight)
            display.show(
                job=JobView.of(self._job), pool=self.history.latest, seconds=time.monotonic() - self._applied_at
            )
        if not job.has_succeeded:
            raise JobFailedError(
                f"job {self._job_name} failed with {job.reason}: {job.message}\n{conditions_in_words(self._job)}"
            )
        return job

    def predictions(self) -> list[Prediction]:
        """Read the results back from the claim."""
        folder = f"{CLAIM_PATH}/{self._output_path}"
        return read_predictions(self._in_data_pod("tar", "cf", "-", "-C", folder, "."), JobView.of(self._job).uid)

    def wait_until_idle(self, watching: Watching) -> None:
        """Follow the pool down to its minimum; raise when it stays above it, or never rose."""
        deadline = time.monotonic() + IDLE_LIMIT_SECONDS
        told = self.history.latest.message
        self._show_pool()
        while not self.history.is_idle_at(self._minimum):
            sight = watching.next_sight(deadline - time.monotonic())
            if sight is None:
                raise PoolNotIdleError(
                    f"the pool still has {self.history.latest.pods} pods {IDLE_LIMIT_SECONDS:.0f} s after the job; "
                    f"its minimum is {self._minimum}. It says: {self.history.latest.message}"
                )
            self._take_in(sight)
            if self.history.latest.message != told:
                told = self.history.latest.message
                self._show_pool()
        if self.history.most_pods <= self._minimum:
            raise PoolNotIdleError("the pool was never seen above its minimum, yet the job ended: who predicted it?")

    def _show_pool(self) -> None:
        pool = self.history.latest
        line = f"  {pool.seconds:6.1f} s  {pool.ready} of {pool.pods} pods ready. {pool.message}"
        self._console.print(line, soft_wrap=True)

    def _take_in(self, sight: Sight) -> None:
        seconds = max(sight.seen_at - self._applied_at, 0.0)
        if sight.resource == WORKER_POOLS and not sight.is_deleted:
            self.history.add_pool(sight.object, seconds)
        elif sight.resource == DEPLOYMENTS and not sight.is_deleted:
            self.history.add_deployment(sight.object, seconds)
        elif sight.object["metadata"].get("uid") == self._job.get("metadata", {}).get("uid"):
            if sight.is_deleted:
                raise JobFailedError(f"job {self._job_name} was deleted while it ran; run the demonstration again")
            self._job = sight.object
            self.sights.append(sight.object)

    def _in_data_pod(self, *command: str) -> bytes:
        return self._kubectl.run("exec", DATA_POD, "--", *command)

    def _stalled(self) -> str:
        look = f"kubectl --namespace {self._kubectl.namespace} get"
        return (
            f"job {self._job_name} did not end within {self._limit_seconds:.0f} s\n{conditions_in_words(self._job)}\n"
            f"  the pool says: {self.history.latest.message or 'nothing'}\n"
            f"  see `{look} pods,wpool,pjob` and `{look} events`"
        )


class Steps:
    """Numbers what is shown, going on from the caller's own steps."""

    def __init__(self, console: Console, *, first: int, last: int) -> None:
        self._console = console
        self._next = first
        self._last = last

    def begin(self, title: str) -> None:
        """Print a heading."""
        self._console.print(f"\n==> [{self._next}/{self._last}] {title}", style="bold", markup=False, soft_wrap=True)
        self._next += 1


def demonstrate(*, run: JobRun, held_out: HeldOut, console: Console, steps: Steps) -> None:
    """Run the job, show predictions and scaling; raise DemoError when something is not as it must be."""
    with run.watching() as watching:
        steps.begin("The job: 540 scans that the model has never seen, in tasks of a few records")
        run.apply(watching)
        with display_for(console) as display:
            job = run.follow(watching, display)
        console.print(f"  {job.reason}: {job.message}", soft_wrap=True)
        steps.begin("Predictions, read back from the claim, against the true labels")
        predictions = run.predictions()
        comparison = compare(predictions, held_out.labels)
        wrong_keys = {prediction.key for prediction in comparison.wrong}
        right = [prediction for prediction in predictions if prediction.key not in wrong_keys]
        show_predictions(console, predictions, held_out.labels)
        show_scans(console, "Some that it read right", right, held_out)
        show_scans(console, "Some that it misread", comparison.wrong, held_out)
        show_accuracy(console, comparison, held_out.labels)
        if comparison.accuracy < LEAST_ACCURACY:
            raise PredictionsError(f"accuracy is {comparison.accuracy:.2%}, at least {LEAST_ACCURACY:.0%} is expected")
        steps.begin("The pool: from nothing to as many pods as the queue asks for, and back")
        try:
            run.wait_until_idle(watching)
        finally:
            show_pool_history(console, run.history.rows())


def main() -> int:
    """Run the demonstration's job and answer the exit status."""
    parser = argparse.ArgumentParser(prog="python -m millrace_demo.run_job", description="Run the sample job.")
    parser.add_argument("--namespace", required=True, help="namespace of the platform")
    parser.add_argument("--manifest", required=True, help="file with the PredictionJob")
    parser.add_argument("--trained", type=Path, required=True, help="folder that millrace_demo.train wrote")
    parser.add_argument("--step", type=int, default=1, help="number of the first heading")
    parser.add_argument("--steps", type=int, default=3, help="number of the last heading of all")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    try:
        held_out = HeldOut.read(arguments.trained)
        run = JobRun(kubectl=Kubectl(arguments.namespace), console=console, manifest=arguments.manifest)
        steps = Steps(console, first=arguments.step, last=arguments.steps)
        demonstrate(run=run, held_out=held_out, console=console, steps=steps)
    except DemoError as error:
        sys.stderr.write(f"\nFAILED: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the job goes on without being watched, `kubectl get pjob` shows it\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
