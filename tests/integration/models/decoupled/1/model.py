"""May give any number of answers to a request, and gives none."""

from typing import Any

import triton_python_backend_utils as pb


class TritonPythonModel:
    """One instance."""

    def execute(self, requests: list[Any]) -> None:
        """End each request without an answer."""
        for request in requests:
            request.get_response_sender().send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
