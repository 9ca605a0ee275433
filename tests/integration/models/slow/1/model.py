"""Answers what it is asked, after 50 ms for each record, so that a job lasts long enough to be disturbed."""

import time
from typing import Any

import triton_python_backend_utils as pb


class TritonPythonModel:
    """One instance; requests run one after the other."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its own input, slowly."""
        return [self._answer(pb.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]

    @staticmethod
    def _answer(x: Any) -> Any:
        time.sleep(0.05 * len(x))  # noqa: TID251 - the slowness of a real model is what is played here
        return pb.InferenceResponse([pb.Tensor("y", x)])
