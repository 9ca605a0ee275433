"""Real servers for tests, in containers on fixed local ports, so that one that is restarted is found again."""

import json
import os
import random
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from waiters import wait_until

LABEL = "millrace.dev/test=1"
"""On every container of the tests, so that leftovers of a killed run can be found."""


_PORTS: Final = range(10_000, 30_000)
"""Below those that Linux gives to clients: one of those may be gone before the server that it was chosen for has it, or
while that server is stopped; its own clients, which try to reach it, may get it."""
_PROCESSES: Final = 16
"""Of a test run, which share the ports between them."""
_chosen: Final[set[int]] = set()


def free_port() -> int:
    """Answer a port of this machine that nobody listens on, and that no test was given before."""
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
    ports = [port for port in _PORTS if port % _PROCESSES == share and port not in _chosen]
    port = next(port for port in random.sample(ports, len(ports)) if _is_free(port))
    _chosen.add(port)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def docker(*arguments: str, timeout_seconds: float = 60.0) -> str:
    """Run a docker command and answer what it printed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=timeout_seconds)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout.strip()


@dataclass
class Container:
    """A container that is made on `create` and gone after `remove`."""

    image: str
    ports: Mapping[int, int]
    """Port in the container -> port of this machine."""
    command: Sequence[str] = ()
    options: Sequence[str] = ()
    name: str = field(default_factory=lambda: f"millrace-test-{uuid.uuid4().hex[:12]}")

    def create(self) -> None:
        """Start it for the first time."""
        published = [f"--publish=127.0.0.1:{outside}:{inside}" for inside, outside in self.ports.items()]
        docker(
            "run",
            "--detach",
            f"--name={self.name}",
            f"--label={LABEL}",
            *published,
            *self.options,
            self.image,
            *self.command,
        )

    def stop(self) -> None:
        """Stop it, politely at first."""
        docker("stop", "--time=5", self.name)

    def kill(self) -> None:
        """Stop it without a chance to tidy up."""
        docker("kill", self.name)

    def start(self) -> None:
        """Start it again, with its data and its ports."""
        docker("start", self.name)

    def remove(self) -> None:
        """Remove it with its volumes."""
        docker("rm", "--force", "--volumes", self.name)

    def run(self, *command: str, timeout_seconds: float = 60.0) -> str:
        """Run a command inside."""
        return docker("exec", self.name, *command, timeout_seconds=timeout_seconds)

    def succeeds(self, *command: str) -> bool:
        """Say whether a command inside ends well; False also while the container is not up."""
        done = subprocess.run(["docker", "exec", self.name, *command], capture_output=True, check=False, timeout=60)
        return done.returncode == 0

    def wait_for(self, *command: str, timeout_seconds: float = 60.0) -> None:
        """Wait until a command inside ends well."""
        wait_until(
            lambda: self.succeeds(*command),
            what=f"{' '.join(command)} in {self.image}",
            timeout_seconds=timeout_seconds,
            explain=self.last_lines,
        )

    def last_lines(self) -> str:
        """Answer the end of its log."""
        done = subprocess.run(
            ["docker", "logs", "--tail=20", self.name], capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout + done.stderr

    def is_running(self) -> bool:
        """Say whether its process runs."""
        state = json.loads(docker("inspect", self.name))[0]["State"]
        return bool(state["Running"])
