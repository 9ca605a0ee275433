"""Watch the recommender learn: `python -m millrace_demo.recommender --help`.

Starts the generator of events as a Job in the cluster, and follows what the recommender makes of them until Beat has
had it trained twice. The events are generated, by a model of tastes that drift (millrace_recommender.behaviour).
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Final

from rich.console import Console
from rich.live import Live

from millrace_demo.errors import DemoError
from millrace_demo.kubectl import Kubectl
from millrace_demo.recommender_readers import Readers
from millrace_demo.recommender_story import Reading, Story, read_reading
from millrace_demo.recommender_view import in_a_line, live_table, show_summary

POOL: Final = "recommender"
EVERY_SECONDS: Final = 5
SILENT_SECONDS: Final = 60.0
"""No reading for so long means that the pool's pod is gone, or cannot reach Redis."""
LINE_SECONDS: Final = 15.0
"""How often a log gets a line; a terminal has a table that moves."""


class Readings:
    """The scoreboard, read in a pod of the pool; opened again when that pod goes."""

    def __init__(self, kubectl: Kubectl, *, release: str) -> None:
        self._command = kubectl.command(
            "exec",
            f"deployment/{release}-worker-{POOL}",
            "--container=worker",
            "--",
            "python",
            "-m",
            "millrace_recommender.scoreboard",
            "--json",
            f"--every={EVERY_SECONDS}",
        )
        self._queue: SimpleQueue[Reading] = SimpleQueue()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    @contextmanager
    def opened(self) -> Iterator["Readings"]:
        """Read until the block ends."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()
            self._thread.join(timeout=5)

    def next(self) -> Reading:
        """Wait for the next reading, or raise DemoError."""
        try:
            return self._queue.get(timeout=SILENT_SECONDS)
        except Empty as error:
            raise DemoError(
                f"the scoreboard could not be read for {SILENT_SECONDS:.0f} s; try `{' '.join(self._command)}`"
            ) from error

    def _follow(self) -> None:
        while not self._stopping.wait(1.0):
            # Why it ended is not told: it is opened again, and `next` says when to give up.
            with subprocess.Popen(  # noqa: S603 - kubectl
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            ) as self._process:
                for line in self._process.stdout or ():
                    if line.startswith("{"):
                        self._queue.put(read_reading(json.loads(line)))


@contextmanager
def activity(kubectl: Kubectl, manifest: str, *, is_kept: bool) -> Iterator[None]:
    """Have users who look and buy while the block runs."""
    kubectl.run("delete", f"--filename={manifest}", "--ignore-not-found", "--wait")
    kubectl.run("apply", f"--filename={manifest}")
    try:
        yield
    finally:
        if not is_kept:
            kubectl.run("delete", f"--filename={manifest}", "--ignore-not-found", "--wait=false")


def follow(readings: Readings, readers: Readers, *, console: Console, trainings: int, limit_seconds: float) -> Story:
    """Show readings until so many new models came; raise DemoError when that takes too long."""
    began, told = time.monotonic(), 0.0
    story: Story | None = None
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while story is None or not story.has_seen(trainings):
            reading = readings.next()
            story = story or Story(since=reading.read_at)
            story.add(reading)
            seconds = time.monotonic() - began
            if console.is_terminal:
                live.update(live_table(story, readers.calls, seconds=seconds), refresh=True)
            elif seconds - told >= LINE_SECONDS:
                told = seconds
                console.print(in_a_line(story, readers.calls, seconds=seconds), soft_wrap=True)
            if seconds > limit_seconds:
                raise DemoError(
                    f"{len(story.trainings)} new models came within {limit_seconds:.0f} s, {trainings} were expected; "
                    "`kubectl get modelversions` and `kubectl describe` say what became of each"
                )
    return story


def main() -> int:
    """Watch, sum up and answer the exit status."""
    parser = argparse.ArgumentParser(prog="python -m millrace_demo.recommender", description="Watch it learn.")
    parser.add_argument("--namespace", required=True, help="namespace of the platform")
    parser.add_argument("--release", default="millrace")
    parser.add_argument("--manifest", default="manifests/samples/recommender/activity-job.yaml")
    parser.add_argument("--trainings", type=int, default=2, help="end after so many new models")
    parser.add_argument("--limit-seconds", type=float, default=600.0)
    parser.add_argument("--keep-activity", action="store_true", help="leave the generator running")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    try:
        kubectl = Kubectl(arguments.namespace)
        with (
            activity(kubectl, arguments.manifest, is_kept=arguments.keep_activity),
            Readings(kubectl, release=arguments.release).opened() as readings,
            Readers(kubectl, release=arguments.release) as readers,
        ):
            story = follow(
                readings,
                readers,
                console=console,
                trainings=arguments.trainings,
                limit_seconds=arguments.limit_seconds,
            )
            show_summary(console, story, readers.calls)
    except DemoError as error:
        sys.stderr.write(f"\nFAILED: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
