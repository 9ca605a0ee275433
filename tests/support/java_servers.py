"""Servers on the JVM for tests: ElasticMQ (SQS), mongo-java-server (MongoDB's protocol) and Cassandra.

Their jars come from `local/java-servers.sh`; a test that needs one is skipped, with what to do, where they are missing.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from needs import is_missing
from waiters import wait_until

JARS = Path(__file__).parents[2] / ".local" / "java"
SMALL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def jars(name: str) -> Path:
    """Answer the folder of a server's jars, or skip the test."""
    if shutil.which("java") is None:
        is_missing("needs Java 17: install openjdk-17-jdk-headless")
    folder = JARS / name / "lib"
    if not (folder.parent / "fetched").exists():
        is_missing(f"needs the jars of {name}: run local/java-servers.sh {name}")
    return folder


@contextmanager
def running(
    arguments: Sequence[str], *, what: str, is_ready: Callable[[], object], timeout_seconds: float = 150.0
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `java` with these arguments, in a folder of its own, for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="millrace-java-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["java", *arguments], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder
            )

        def is_up() -> bool:
            assert process.poll() is None, f"{what} ended: {log.read_text()[-2000:]}"
            return bool(is_ready())

        try:
            wait_until(is_up, what=what, timeout_seconds=timeout_seconds, explain=lambda: log.read_text()[-2000:])
            yield process
        finally:
            process.kill()
            process.wait(timeout=20)
