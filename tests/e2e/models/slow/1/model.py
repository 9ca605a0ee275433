"""Takes as long as each record says, and fails on a record that asks for less than no time.

Gives the tests jobs that last long enough to be disturbed, and one record that the model cannot answer.
"""

import time
from typing import Any

import triton_python_backend_utils as pb


class TritonPythonModel:
    """One instance; requests run one after the other."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request after the sum of its rows' seconds."""
        return [self._answer(pb.get_input_tensor_by_name(request, "seconds").as_numpy()) for request in requests]

    @staticmethod
    def _answer(seconds: Any) -> Any:
        if seconds.min() < 0:
            return pb.InferenceResponse(output_tensors=[], error=pb.TritonError("time does not run backwards"))
        time.sleep(float(seconds.sum()))  # noqa: TID251 - the slowness of a real model is what is played here
        return pb.InferenceResponse(output_tensors=[pb.Tensor("waited", seconds)])
