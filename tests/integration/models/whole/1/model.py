"""Takes text of any length and no batches, and answers it in capitals."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    """One instance."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request in capitals."""
        texts = [pb.get_input_tensor_by_name(request, "text").as_numpy() for request in requests]
        return [pb.InferenceResponse([pb.Tensor("echo", self._loud(text))]) for text in texts]

    @staticmethod
    def _loud(text: Any) -> Any:
        return np.array([word.decode().upper().encode() for word in text], dtype=np.object_)
