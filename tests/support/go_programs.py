"""Build programs in Go, where there is a Go; in CI there must be one."""

import shutil
import subprocess
from pathlib import Path

from needs import is_missing


def build(folder: Path, program: Path) -> Path:
    """Build the module of a folder, or skip the test where there is no Go."""
    go = _go()
    if go is None:
        is_missing("there is no Go here: the example in Go is neither built nor run")
    done = subprocess.run(
        [go, "build", "-o", str(program), "."], cwd=folder, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return program


def _go() -> str | None:
    """Find Go as the Makefile's scripts do: on the path, else the newest of Debian's."""
    packaged = sorted(Path("/usr/lib").glob("go-1.*/bin/go"), key=lambda go: int(go.parts[3].removeprefix("go-1.")))
    return shutil.which("go") or (str(packaged[-1]) if packaged else None)
