"""Requests of one task to one model, and which version answered which record."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from millrace_contracts.predictions import Parameters
from millrace_worker.errors import BatchFailed, ModelUnsuitable, TritonTooSlow
from millrace_worker.inference import codec
from millrace_worker.inference.blocks import Block
from millrace_worker.inference.model import Answer, ModelClient, ModelSignature

LOOK_SECONDS: Final = 5.0
"""Enough for a Triton that is well to describe a model, however busy the model is."""


class BlockRequests:
    """Sends blocks, and sees that each record of them got an answer."""

    def __init__(
        self,
        models: ModelClient,
        signature: ModelSignature,
        *,
        timeout_seconds: float,
        parameters: Parameters | None = None,
        outputs: Sequence[str] = (),
    ) -> None:
        known = [spec.name for spec in signature.outputs]
        for name in outputs:
            if name not in known:
                raise ModelUnsuitable(
                    f'model.outputs names "{name}", and model "{signature.name}" has {", ".join(known) or "none"}'
                )
        self._models = models
        self._signature = signature
        self._timeout_seconds = timeout_seconds
        self._parameters = parameters
        self._outputs = outputs

    def send_or_fail(self, block: Block) -> Answer:
        """Send one request; that it takes too long is a failure of its records, unless Triton answers nobody."""
        try:
            return self.send(block)
        except TritonTooSlow as error:
            # Where Triton is away or hangs, this raises TritonUnavailable, which costs no record anything.
            self._models.describe(self._signature.name, self._signature.requested_version, timeout_seconds=LOOK_SECONDS)
            raise BatchFailed(
                f'model "{self._signature.name}" did not answer within requestTimeoutSeconds '
                f"({self._timeout_seconds:g} s)",
                status="DEADLINE_EXCEEDED",
            ) from error

    def send(self, block: Block) -> Answer:
        """Send one request."""
        answer = self._models.infer(
            self._signature,
            block.tensors,
            timeout_seconds=self._timeout_seconds,
            parameters=self._parameters,
            outputs=self._outputs,
        )
        if self._signature.batches:
            for name, tensor in answer.outputs.items():
                if tensor.shape[:1] != (len(block),):
                    raise BatchFailed(
                        f'the output "{name}" has the shape {list(tensor.shape)} for {len(block)} records', status="OK"
                    )
        return answer


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
        self._requests = BlockRequests(models, signature, timeout_seconds=timeout_seconds, parameters=parameters)
        self._signature = signature
        self._encoded = encoded
        self.versions: dict[int, str] = {}
        """The version that answered, by position."""

    def send(self, positions: tuple[int, ...]) -> list[dict[str, Any]]:
        """Send one request and answer the outputs of each of its records."""
        request = codec.join([self._encoded[position] for position in positions], self._signature)
        answer = self._requests.send_or_fail(Block(positions, request))
        self.versions.update(dict.fromkeys(positions, answer.model_version))
        return codec.split(answer, self._signature, row_count=len(positions))
