"""Run `millrace` as a user of an installation's namespace does, with nothing but a kubeconfig."""

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any, Final

from commands import PROJECT_ROOT, environment
from installation import Platform

BINARIES: Final = PROJECT_ROOT / ".venv" / "bin"

Cli = Callable[..., subprocess.CompletedProcess[str]]


def command_line(platform: Platform) -> Cli:
    """Answer a function that runs a command to its end, whatever that is."""

    def run(*arguments: str, program: tuple[str, ...] = (str(BINARIES / "millrace"),)) -> Any:
        path = f"{BINARIES}{os.pathsep}{environment()['PATH']}"
        return subprocess.run(
            [*program, *arguments, "--namespace", platform.kubectl.namespace],
            env={**environment(), "PATH": path},
            input="",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    """Answer what a command that succeeded printed as JSON."""
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)
