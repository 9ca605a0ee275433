"""A team's task module that makes records of its own deadly: the process that sends one to Triton dies of it."""

import os
import signal
from collections.abc import Mapping
from typing import Any

from millrace_worker.context import Context
from millrace_worker.inference.model import Answer, ModelClient, ModelSignature

DEADLY = 666.0


class DeadlyClient:
    """Asks the real Triton, but kills its process when a record begins with the deadly number."""

    def __init__(self, client: ModelClient) -> None:
        self._client = client

    def describe(self, name: str, version: str, *, timeout_seconds: float) -> ModelSignature:
        """Describe the model."""
        return self._client.describe(name, version, timeout_seconds=timeout_seconds)

    def infer(self, signature: ModelSignature, inputs: Mapping[str, Any], **options: Any) -> Answer:
        """Compute one request, or die."""
        if (inputs["x"] == DEADLY).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return self._client.infer(signature, inputs, **options)


def register(app: Any, context: Context) -> None:
    """Called by the worker for each module of MILLRACE_TASK_MODULES."""
    del app
    real = context.models
    context.models = lambda: DeadlyClient(real())  # type: ignore[method-assign] # that is its purpose
