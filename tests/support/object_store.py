"""An S3-compatible server in a process of its own, which can be stopped and comes back empty at the same address."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from containers import free_port
from waiters import wait_until

_SIGNATURE: Final = {
    "Authorization": (
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"
    )
}

_PATIENCE_SECONDS: Final = 60.0
"""It imports what it needs when it is asked for the first time."""


@dataclass
class ObjectStoreServer:
    """The server, and what clients need in their environment to find it."""

    folder: Path
    port: int = field(default_factory=free_port)
    program: Sequence[str] = ("-m", "moto.server")
    """What Python runs; it takes the server's own options."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What workers get from the chart's values."""
        return {
            "AWS_ENDPOINT_URL_S3": self.address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it, without buckets."""
        command = [sys.executable, *self.program, "-H", "127.0.0.1", "-p", str(self.port)]
        with (self.folder / "object-store.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self.answers, what="the object store", timeout_seconds=90)

    def stop(self) -> None:
        """Stop it; what it held is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
        self.process = None

    def answers(self) -> bool:
        """Say whether it is up."""
        try:
            return httpx.get(f"{self.address}/moto-api/", timeout=2).is_success
        except httpx.TransportError:
            return False

    def refuse_everybody(self) -> None:
        """Check keys from now on; it knows none."""
        httpx.post(f"{self.address}/moto-api/reset-auth", content="0", timeout=_PATIENCE_SECONDS).raise_for_status()

    def allow_everybody(self) -> None:
        """Check no keys any more."""
        httpx.post(f"{self.address}/moto-api/reset-auth", content="inf", timeout=_PATIENCE_SECONDS).raise_for_status()

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        httpx.put(f"{self.address}/{name}", timeout=_PATIENCE_SECONDS).raise_for_status()

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object."""
        # What is there already is replaced by those only who sign.
        asked = httpx.put(f"{self.address}/{bucket}/{key}", content=data, headers=_SIGNATURE, timeout=_PATIENCE_SECONDS)
        asked.raise_for_status()

    def get(self, bucket: str, key: str) -> bytes:
        """Answer the content of an object."""
        # It wants to see a signature for what was written with one, and checks none.
        return self._ask(f"{bucket}/{key}").content

    def list(self, bucket: str, prefix: str) -> set[str]:
        """Name the objects under a prefix, relative to it."""
        query = {"list-type": "2", "prefix": prefix}
        text = self._ask(bucket, **query).text
        return {each.partition("</Key>")[0].removeprefix(prefix) for each in text.split("<Key>")[1:]}

    def _ask(self, path: str, **query: str) -> httpx.Response:
        answer = httpx.get(f"{self.address}/{path}", params=query, headers=_SIGNATURE, timeout=_PATIENCE_SECONDS)
        return answer.raise_for_status()


@contextmanager
def running_object_store(folder: Path, *, holds: str = "") -> Iterator[ObjectStoreServer]:
    """Lend a server that runs; its log lies in the folder. `holds` names a program of support that fills it first."""
    program = (str(Path(__file__).with_name(f"{holds}.py")),) if holds else ("-m", "moto.server")
    server = ObjectStoreServer(folder, program=program)
    server.start()
    try:
        yield server
    finally:
        server.stop()
