"""Answers what it is asked, but fails in the way that the first number of a record names, each way of its own."""

import time
from collections import Counter
from typing import Any

import triton_python_backend_utils as pb

TORN, EMPTY, BUSY, SLOW = -1, -2, -3, -4
REFUSALS_WHEN_BUSY = 3
SECONDS_WHEN_SLOW = 2.4


class TritonPythonModel:
    """One instance; requests run one after the other."""

    def initialize(self, args: Any) -> None:
        """Remember how often each record was asked for while the model was busy."""
        del args
        self.refusals: Counter[float] = Counter()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its own input, or in the way that the worst of its records asks for."""
        return [self._answer(pb.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]

    def _answer(self, x: Any) -> Any:
        kinds = {int(kind) for kind in x[:, 0]}
        if TORN in kinds:
            return _refusal("the scan is torn", pb.TritonError.INTERNAL)
        if EMPTY in kinds:
            return _refusal("the scan is empty", pb.TritonError.INVALID_ARG)
        if BUSY in kinds and self._is_busy(x):
            return _refusal("too much to do", pb.TritonError.UNAVAILABLE)
        if SLOW in kinds:
            time.sleep(SECONDS_WHEN_SLOW)  # noqa: TID251 - the slowness of a real model is what is played here
        return pb.InferenceResponse([pb.Tensor("y", x)])

    def _is_busy(self, x: Any) -> bool:
        who = float(x[x[:, 0] == BUSY][0, 1])
        self.refusals[who] += 1
        return self.refusals[who] <= REFUSALS_WHEN_BUSY


def _refusal(message: str, code: Any) -> Any:
    return pb.InferenceResponse(output_tensors=[], error=pb.TritonError(message, code))
