"""What a request that takes too long means."""

# ruff: noqa: D102 - the stand-in has the methods of what it stands for

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from millrace_worker.errors import BatchFailed, TritonTooSlow, TritonUnavailable
from millrace_worker.inference.blocks import Block
from millrace_worker.inference.model import ModelSignature
from millrace_worker.inference.requests import BlockRequests

SIGNATURE = ModelSignature(name="m", requested_version="", inputs=(), max_batch_size=8)


@dataclass
class Slow:
    """Describes its model, if it is alive, and never answers it."""

    is_alive: bool

    def describe(self, name: str, version: str, *, timeout_seconds: float) -> ModelSignature:
        assert (name, version) == ("m", "")
        assert 0 < timeout_seconds
        if not self.is_alive:
            raise TritonUnavailable("gone")
        return SIGNATURE

    def infer(self, *_: Any, **__: Any) -> Any:
        raise TritonTooSlow("not within requestTimeoutSeconds")


def test_a_request_that_takes_too_long_is_a_failure_of_its_records_if_triton_answers_otherwise() -> None:
    requests = BlockRequests(Slow(is_alive=True), SIGNATURE, timeout_seconds=1)
    with pytest.raises(BatchFailed, match=r'"m" did not answer within requestTimeoutSeconds \(1 s\)') as caught:
        requests.send_or_fail(Block([0], {"x": np.zeros((1, 1))}))
    assert "DEADLINE_EXCEEDED" == caught.value.status


def test_a_request_that_takes_too_long_waits_for_a_triton_that_is_away() -> None:
    requests = BlockRequests(Slow(is_alive=False), SIGNATURE, timeout_seconds=1)
    with pytest.raises(TritonUnavailable, match="gone"):
        requests.send_or_fail(Block([0], {"x": np.zeros((1, 1))}))
