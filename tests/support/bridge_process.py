"""A real ingest bridge as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from containers import free_port
from process_logs import whole_lines
from prometheus_client.parser import text_string_to_metric_families
from waiters import wait_until


@dataclass
class BridgeProcess:
    """One replica of a stream's bridge; `folder` keeps its configuration and its log."""

    stream: Mapping[str, Any]
    environment: Mapping[str, str]
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> str:
        """What it logged so far."""
        return whole_lines(self.folder / "bridge.log")

    def start(self) -> None:
        """Start it, as the chart does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "stream.json"
        file.write_text(json.dumps(self.stream))
        environment = {
            **os.environ,
            **self.environment,
            "MILLRACE_INGEST_CONFIG_FILE": str(file),
            "MILLRACE_INGEST_PORT": str(self.port),
        }
        with (self.folder / "bridge.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "millrace_ingest"],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        """End it without a chance to finish anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)

    def stop(self, *, timeout_seconds: float = 60.0) -> int:
        """End it as Kubernetes does; answers its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=timeout_seconds)

    def close(self) -> None:
        """End it in whatever state it is."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def status(self, page: str) -> int | None:
        """Ask a page for its status; None while nobody answers."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/{page}", timeout=20).status_code
        except httpx.TransportError:
            return None

    def metric(self, name: str, **labels: str) -> float | None:
        """Read one metric; None where it is not there."""
        try:
            text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=20).text
        except httpx.TransportError:
            return None
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        found = [one.value for one in samples if one.name == name and labels.items() <= one.labels.items()]
        return found[0] if found else None

    def wait_until_ready(self, *, timeout_seconds: float = 60.0) -> None:
        """Wait until it has RabbitMQ and Kafka."""
        wait_until(
            lambda: self.status("readyz") == 200,
            what="the bridge to be ready",
            timeout_seconds=timeout_seconds,
            interval_seconds=0.1,
            explain=lambda: self.log[-3000:],
        )
