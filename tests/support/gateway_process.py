"""A real gateway as a process of its own, on a port of this machine."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from containers import free_port
from process_logs import whole_lines
from waiters import wait_until

PREDICT_KEY = "predict-key"
ADMIN_KEY = "admin-key"


@dataclass
class GatewayProcess:
    """One replica; `folder` keeps its config and its log."""

    broker_url: str
    redis_url: str
    folder: Path
    config: Mapping[str, Any]
    """Its config file."""
    cache_url: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it logged so far."""
        return whole_lines(self.folder / f"gateway-{self.port}.log")

    def client(self, key: str = PREDICT_KEY) -> httpx.Client:
        """Make a client with one of the two keys."""
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key}, timeout=90)

    def start(self, *, is_awaited: bool = True) -> None:
        """Start it, and wait until it takes predictions."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "gateway.json").write_text(json.dumps(self.config))
        keys = [
            {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": scopes}
            for name, scopes in ((PREDICT_KEY, ["predict"]), (ADMIN_KEY, ["predict", "admin"]))
        ]
        (self.folder / "keys.json").write_text(json.dumps(keys))
        environment = {
            **os.environ,
            "MILLRACE_BROKER_URL": self.broker_url,
            "MILLRACE_REDIS_URL": self.redis_url,
            "MILLRACE_GATEWAY_CONFIG_FILE": str(self.folder / "gateway.json"),
            "MILLRACE_GATEWAY_KEYS_FILE": str(self.folder / "keys.json"),
            "MILLRACE_HOST": "127.0.0.1",
            "MILLRACE_PORT": str(self.port),
        }
        if self.cache_url:
            environment["MILLRACE_CACHE_URL"] = self.cache_url
        with (self.folder / f"gateway-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "millrace-gateway")],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        if is_awaited:
            try:
                wait_until(self._is_ready, what="the gateway", timeout_seconds=90, explain=lambda: self.log[-3000:])
            except AssertionError:
                self.stop()
                raise

    def is_alive(self) -> bool:
        """Say whether it answers at all."""
        return self._says_yes("/healthz")

    def stop(self) -> None:
        """End it politely."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=40)
            self.process = None

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log[-3000:]
        return self._says_yes("/v2/health/ready")

    def _says_yes(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=2).status_code == 200
        except httpx.TransportError:
            return False
