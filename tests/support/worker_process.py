"""A real Celery worker as a process of its own, with its prefork children."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from process_logs import whole_lines
from waiters import wait_until


@dataclass
class WorkerProcess:
    """One worker; `folder` keeps its log and the files that probes look at."""

    environment: Mapping[str, str]
    queue: str
    folder: Path
    concurrency: int = 2
    arguments: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def ready_file(self) -> Path:
        """Exists while the worker consumes."""
        return self.folder / "state" / "ready"

    @property
    def alive_file(self) -> Path:
        """Touched once a second."""
        return self.folder / "state" / "alive"

    @property
    def log(self) -> str:
        """What it logged so far."""
        return whole_lines(self.folder / "worker.log")

    def start(self) -> None:
        """Start it, as the chart does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [str(Path(sys.executable).parent / "celery"), "-A", "millrace_worker.app", "worker", "--pool=prefork"]
        command += [f"--concurrency={self.concurrency}", f"--queues={self.queue}"]
        command += ["--without-gossip", "--without-mingle", "-E", f"--hostname=worker@{self.folder.name}"]
        command += self.arguments
        environment = {
            **os.environ,
            **self.environment,
            "MILLRACE_QUEUE": self.queue,
            "MILLRACE_CONCURRENCY": str(self.concurrency),
            "MILLRACE_STATE_DIR": str(self.folder / "state"),
        }
        with (self.folder / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def wait_until_ready(self, *, timeout_seconds: float = 90.0) -> None:
        """Wait until it consumes its queue."""
        wait_until(
            self.ready_file.exists,
            what=f"the worker of queue {self.queue} to be ready",
            timeout_seconds=timeout_seconds,
            interval_seconds=0.05,
            explain=lambda: self.log[-3000:],
        )

    def wait_for_log(self, words: str, *, times: int = 1, timeout_seconds: float = 60.0) -> None:
        """Wait until it has logged these words so often; it logs what it did a little after the servers show it."""
        wait_until(
            lambda: self.log.count(words) >= times,
            what=f"{words} in the log, {times} times",
            timeout_seconds=timeout_seconds,
            explain=lambda: self.log[-3000:],
        )

    def is_running(self) -> bool:
        """Say whether its main process runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """Kill the main process and its children at once, as a lost node does."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        self.ready_file.unlink(missing_ok=True)

    def children(self) -> list[int]:
        """Answer the process ids of its task slots."""
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in tasks.read_text().split()]

    def stop(self) -> None:
        """End it politely, and the rest by force."""
        if self.process is None:
            return
        if self.is_running():
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
