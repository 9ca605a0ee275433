"""Callers of the gateway who want "who looks at this also likes": real HTTP calls, and how many the cache answered."""

import base64
import json
import random
import subprocess
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from millrace import Client, MillraceError
from millrace_demo.errors import DemoError
from millrace_demo.kubectl import Kubectl

MODEL: Final = "recommender"
ITEMS: Final = 300
POPULARITY_EXPONENT: Final = 1.0
PAUSE_SECONDS: Final = 0.1
ANSWER_LIMIT_SECONDS: Final = 10.0
FORWARDING: Final = "Forwarding from 127.0.0.1:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What became of the calls so far."""

    answered: int = 0
    cached: int = 0
    refused: int = 0
    """No model is there yet, or the gateway did not answer."""

    @property
    def cache_hit_ratio(self) -> float | None:
        """Share of the answers that came from the cache; None before the first."""
        return self.cached / self.answered if self.answered else None


class Readers:
    """Calls through a port-forward while its context is open. Popular items are asked for more often, by Zipf's law."""

    def __init__(self, kubectl: Kubectl, *, release: str, seed: int = 1) -> None:
        self._kubectl = kubectl
        self._release = release
        self._chance = random.Random(seed)  # noqa: S311 - a load, not a secret
        self._weights = [1 / rank**POPULARITY_EXPONENT for rank in range(1, ITEMS + 1)]
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._forward: subprocess.Popen[str] | None = None
        self.calls = Calls()

    def __enter__(self) -> Self:
        client = Client(f"http://127.0.0.1:{self._opened_port()}", api_key=self._key(), timeout=ANSWER_LIMIT_SECONDS)
        self._thread = threading.Thread(target=self._go_on, args=(client,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        if self._forward is not None:
            self._forward.terminate()
            self._forward.wait(timeout=10)
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _go_on(self, client: Client) -> None:
        with client:
            while not self._stopping.wait(PAUSE_SECONDS):
                (item,) = self._chance.choices(range(ITEMS), self._weights)
                self._call(client, item)

    def _call(self, client: Client, item: int) -> None:
        before = self.calls
        try:
            answer = client.predict(MODEL, {"items": [item], "weights": [1.0]}, wait=ANSWER_LIMIT_SECONDS)
        except MillraceError:
            self.calls = Calls(answered=before.answered, cached=before.cached, refused=before.refused + 1)
            return
        self.calls = Calls(answered=before.answered + 1, cached=before.cached + answer.cached, refused=before.refused)

    def _opened_port(self) -> int:
        command = self._kubectl.command("port-forward", f"service/{self._release}-gateway", ":http")
        self._forward = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603 - kubectl
        line = self._forward.stdout.readline() if self._forward.stdout else ""
        if not line.startswith(FORWARDING):
            raise DemoError(
                f"the gateway of release {self._release} cannot be reached through kubectl port-forward; "
                "is gateway.enabled true, and is its pod ready?"
            )
        return int(line.removeprefix(FORWARDING).split(" ")[0])

    def _key(self) -> str:
        secret = json.loads(self._kubectl.run("get", "secret", f"{self._release}-gateway", "--output=json"))
        return base64.b64decode(secret["data"]["predict-api-key"]).decode()
