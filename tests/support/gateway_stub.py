"""A gateway that answers from a script, for tests of what clients do with its answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Answer = httpx.Response | httpx.TransportError


@dataclass
class StubGateway:
    """Answers each request with the next answer, or with what `rule` says; remembers what it was asked."""

    answers: list[Answer] = field(default_factory=list)
    rule: Callable[[httpx.Request], httpx.Response] | None = None
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request)
        if self.rule is not None:
            return self.rule(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


def prediction(number: int = 1, *, state: str = "Succeeded", **more: Any) -> dict[str, Any]:
    """What the gateway says of a prediction."""
    outputs = {"y": [number]} if state == "Succeeded" else None
    return {"id": f"p{number}", "state": state, "model": "m", "outputs": outputs, "accepted_at": 1.0, **more}


def accepted(*predictions: dict[str, Any], status: int = 200) -> httpx.Response:
    """The answer to records."""
    return httpx.Response(status, json={"predictions": list(predictions)})


def refusal(status: int, code: str, message: str, **headers: str) -> httpx.Response:
    """An error."""
    return httpx.Response(status, json={"error": {"code": code, "message": message}}, headers=headers)


def records_of(request: httpx.Request) -> list[dict[str, Any]]:
    """The records of a request."""
    records: list[dict[str, Any]] = json.loads(request.content)["records"]
    return records
