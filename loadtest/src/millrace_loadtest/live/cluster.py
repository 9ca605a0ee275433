"""Drive the local cluster through kubectl and helm, the ones that `make cluster` chose; no other is known here."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROJECT_ROOT: Final = Path(__file__).resolve().parents[4]
LOCAL: Final = PROJECT_ROOT / ".local"
Resource = dict[str, Any]


class BenchError(Exception):
    """The benchmark cannot go on; the message says what to do next."""


def clean_up_when_told_to_stop() -> None:
    """Let SIGTERM and SIGINT end a benchmark as an error does, so that it removes what it made."""

    def stop(number: int, _: object) -> None:
        raise BenchError(f"it was told to stop ({signal.Signals(number).name})")

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)


def environment() -> dict[str, str]:
    """Answer the environment in which the project's own tools come first and only its own cluster is known."""
    return {**os.environ, "PATH": f"{LOCAL / 'bin'}:{os.environ['PATH']}", "KUBECONFIG": str(LOCAL / "kubeconfig")}


def run(*command: str, stdin: str = "", timeout_seconds: float = 120.0) -> str:
    """Run a tool to its end and answer its standard output."""
    try:
        done = subprocess.run(  # noqa: S603 - the commands are written in this package
            command,
            input=stdin,
            capture_output=True,
            check=False,
            text=True,
            env=environment(),
            timeout=timeout_seconds,
            cwd=PROJECT_ROOT,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(
            f"'{' '.join(command)}' did not end within {timeout_seconds:g} s; is the cluster up?"
        ) from error
    if done.returncode != 0:
        raise BenchError(f"'{' '.join(command)}' ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_until(condition: Callable[[], object], *, what: str, timeout_seconds: float, interval: float = 0.5) -> None:
    """Wait for a condition, or end the benchmark with what it waited for."""
    deadline, pause = time.monotonic() + timeout_seconds, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"waited {timeout_seconds:g} s in vain for {what}")
        pause.wait(interval)


@dataclass(frozen=True)
class Cluster:
    """kubectl in one namespace."""

    namespace: str

    def kubectl(self, *arguments: str, stdin: str = "", timeout_seconds: float = 120.0) -> str:
        """Run any kubectl command in the namespace."""
        return run("kubectl", "--namespace", self.namespace, *arguments, stdin=stdin, timeout_seconds=timeout_seconds)

    def apply(self, resources: Sequence[Mapping[str, Any]], *, timeout_seconds: float = 120.0) -> None:
        """Make the objects be as given; server-side, so that a pool's replicas stay whoever's they are."""
        listing = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(resources)})
        flags = ("--server-side", "--force-conflicts", "--field-manager=millrace-bench")
        self.kubectl("apply", *flags, "--filename=-", stdin=listing, timeout_seconds=timeout_seconds)

    def get(self, *arguments: str) -> Resource:
        """Answer an object, or a list of them."""
        found: Resource = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def make_namespace(self) -> None:
        """Begin with an empty namespace."""
        self.remove_namespace()
        run("kubectl", "create", "namespace", self.namespace)

    def remove_namespace(self) -> None:
        """Remove the namespace and everything in it, and wait until it is gone."""
        flags = ("--ignore-not-found", "--wait", "--timeout=240s")
        run("kubectl", "delete", "namespace", self.namespace, *flags, timeout_seconds=260)

    def wait_for_rollout(self, deployment: str, *, timeout_seconds: float = 120.0) -> None:
        """Wait until a Deployment is there."""
        limit = f"--timeout={timeout_seconds:g}s"
        self.kubectl("rollout", "status", f"deployment/{deployment}", limit, timeout_seconds=timeout_seconds + 10)

    @contextmanager
    def stream(self, *arguments: str, stdin: str | None = "") -> Iterator[Iterator[str]]:
        """Run a kubectl command that goes on, and answer its lines as they come; None keeps its input open."""
        command = ("kubectl", "--namespace", self.namespace, *arguments)
        with subprocess.Popen(  # noqa: S603 - the commands are written in this package
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=PROJECT_ROOT
        ) as process:
            if process.stdin is None or process.stdout is None:
                raise BenchError(f"'{' '.join(command)}' has no input or output")
            if stdin is not None:
                process.stdin.write(stdin)
                process.stdin.close()
            try:
                yield (line.rstrip("\n") for line in process.stdout)
            finally:
                process.terminate()
