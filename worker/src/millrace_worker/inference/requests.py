"""Requests of one task to one model, and which version answered which record."""

from collections.abc import Mapping
from typing import Any

from millrace_contracts.predictions import Parameters
from millrace_worker.inference import codec
from millrace_worker.inference.model import ModelClient, ModelSignature


class Requests:
    """Sends batches of encoded records. While a new version is loaded, one task may see two of them."""

    def __init__(
        self,
        models: ModelClient,
        signature: ModelSignature,
        encoded: Mapping[int, codec.Tensors],
        *,
        timeout_seconds: float,
        parameters: Parameters | None = None,
    ) -> None:
        self._models = models
        self._signature = signature
        self._encoded = encoded
        self._timeout_seconds = timeout_seconds
        self._parameters = parameters
        self.versions: dict[int, str] = {}
        """The version that answered, by position."""
        self.model_version = ""
        """The version that answered last."""

    def send(self, positions: tuple[int, ...]) -> list[dict[str, Any]]:
        """Send one request and answer the outputs of each of its records."""
        request = codec.join([self._encoded[position] for position in positions], self._signature)
        answer = self._models.infer(
            self._signature, request, timeout_seconds=self._timeout_seconds, parameters=self._parameters
        )
        self.model_version = answer.model_version
        self.versions.update(dict.fromkeys(positions, answer.model_version))
        return codec.split(answer, self._signature, row_count=len(positions))
