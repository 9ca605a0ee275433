"""What Triton itself says that it was asked for."""

import re
from dataclasses import dataclass

from waiters import wait_until
from web import get

LOOKS = 3


@dataclass(frozen=True)
class Asked:
    """Requests that Triton answered, and the records in them."""

    requests: int
    records: int

    def __sub__(self, before: "Asked") -> "Asked":
        """Answer what was asked since then."""
        return Asked(self.requests - before.requests, self.records - before.records)


NOTHING = Asked(requests=0, records=0)


def asked(metrics_port: int, model: str) -> Asked:
    """Read what a model was asked for since Triton was started, as soon as that does not change any more.

    Triton counts a request a little after it has answered it.
    """
    seen = [_read(metrics_port, model)]

    def is_settled() -> bool:
        seen.append(_read(metrics_port, model))
        return len(seen) > LOOKS and len(set(seen[-LOOKS:])) == 1

    wait_until(is_settled, what=f"nobody to ask {model}", interval_seconds=0.05, explain=lambda: seen[-LOOKS:])
    return seen[-1]


def _read(metrics_port: int, model: str) -> Asked:
    text = get(f"http://127.0.0.1:{metrics_port}/metrics").body

    def count(metric: str) -> int:
        found = re.findall(rf'^{metric}\{{model="{model}"[^}}]*\}} (\S+)$', text, re.MULTILINE)
        return sum(int(float(value)) for value in found)

    return Asked(requests=count("nv_inference_request_success"), records=count("nv_inference_count"))
