"""Run a command line tool and answer its output, or fail with what it said.

The tools are those that `make cluster` chose: the ones in .local/bin first, else those on PATH.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PROJECT_ROOT: Final = Path(__file__).resolve().parents[2]
KUBECONFIG: Final = PROJECT_ROOT / ".local" / "kubeconfig"


class CommandError(Exception):
    """A tool ended with another status than 0."""

    def __init__(self, command: Sequence[str], *, status: int, stdout: str, stderr: str) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(f"{' '.join(command)} ended with {status}: {stderr.strip() or stdout.strip()}")


def environment() -> dict[str, str]:
    """Answer the environment in which the project's own tools come first and only its own cluster is known."""
    return {
        **os.environ,
        "PATH": f"{PROJECT_ROOT / '.local' / 'bin'}:{os.environ['PATH']}",
        "KUBECONFIG": str(KUBECONFIG),
    }


def run(*command: str, stdin: bytes | None = None, timeout_seconds: float = 60.0) -> str:
    """Run a tool to its end and answer its standard output."""
    # An empty input instead of none: a tool must never wait for a terminal.
    done = subprocess.run(
        command, input=stdin or b"", capture_output=True, check=False, env=environment(), timeout=timeout_seconds
    )
    stdout, stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise CommandError(command, status=done.returncode, stdout=stdout, stderr=stderr)
    return stdout
