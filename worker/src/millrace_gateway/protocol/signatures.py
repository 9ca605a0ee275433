"""What models are, for those who speak tensors: from the config file, or as a worker wrote it down.

A worker writes it when it first sees the model. Where none has yet, a record without fields is sent: no model accepts
it, and the worker must look at the model to say so.
"""

from time import monotonic
from typing import Any, Final

from pydantic import ValidationError
from redis.exceptions import RedisError

from millrace_contracts.models import ModelDescription, serving_key, signature_key
from millrace_gateway.asked import Asked, Record
from millrace_gateway.errors import NotFound, Unavailable
from millrace_gateway.pipelining import Pipelined
from millrace_gateway.predictor import Predictor
from millrace_gateway.settings import Config, ModelSettings
from millrace_gateway.store import AWAY

ASK_SECONDS: Final = 10.0
REMEMBER_SECONDS: Final = 5.0
"""A model may change with a new version; what was read is good for so long."""


class Signatures:
    """Describes models."""

    def __init__(self, config: Config, state: Pipelined, predictor: Predictor) -> None:
        self._config = config
        self._state = state
        self._predictor = predictor
        self._known: dict[str, tuple[float, ModelDescription]] = {}

    async def describe(self, model: ModelSettings) -> ModelDescription:
        """Describe a model, or raise Unavailable while nobody can, NotFound if Triton does not have it."""
        if model.inputs and model.outputs:
            return from_settings(model)
        known = self._known.get(model.name)
        if known is not None and monotonic() - known[0] < REMEMBER_SECONDS:
            return known[1]
        description = await self._read(model.name)
        if description is None:
            await self._ask_a_worker(model)
            description = await self._read(model.name)
        if description is None:
            raise Unavailable(
                f'nobody has looked at model "{model.name}" yet: no worker of queue {model.queue} took a task within '
                f"{ASK_SECONDS:g} s; try again later, or give inputs and outputs in the gateway's config",
                retry_after_seconds=5,
            )
        self._known[model.name] = (monotonic(), description)
        return description

    async def serving_version(self, model: ModelSettings) -> str:
        """Answer the version that serves, "" where no pipeline has published one."""
        try:
            found = await self._state.ask("GET", serving_key(model.name))
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(AWAY) from error
        return model.version or (found.decode() if found else "")

    async def _read(self, name: str) -> ModelDescription | None:
        try:
            text = await self._state.ask("GET", signature_key(name))
            return ModelDescription.model_validate_json(text) if text else None
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(AWAY) from error
        except ValidationError as error:
            raise Unavailable(f'what is written down of model "{name}" cannot be read; workers may be newer') from error

    async def _ask_a_worker(self, model: ModelSettings) -> None:
        asked = Asked(
            model=model,
            records=(Record({}, "{}"),),
            parameters={},
            queue=model.queue,
            version=model.version,
            deadline=self._predictor.now() + ASK_SECONDS,
            may_use_cache=False,
        )
        (answer,) = await self._predictor.predict(asked, wait_seconds=ASK_SECONDS, must_answer=True)
        error = answer.get("error") or {}
        if error.get("code") == "ModelNotFound":
            raise NotFound(str(error["message"]))


def from_settings(model: ModelSettings) -> ModelDescription:
    """Describe a model by the config file."""
    return ModelDescription(
        name=model.name,
        versions=[model.version] if model.version else [],
        inputs=list(model.inputs),
        outputs=list(model.outputs),
        max_batch_size=model.max_batch_size,
    )


def metadata(model: ModelDescription, version: str) -> dict[str, Any]:
    """Write the metadata of a model as Triton does."""
    return {
        "name": model.name,
        "versions": model.versions or ([version] if version else ["1"]),
        "platform": model.platform or "millrace",
        "inputs": [each.model_dump() for each in model.inputs],
        "outputs": [each.model_dump() for each in model.outputs],
    }


def model_config(model: ModelDescription) -> dict[str, Any]:
    """Write the part of a model's configuration that its clients use, as Triton does."""
    skip = 1 if model.max_batch_size > 0 else 0
    return {
        "name": model.name,
        "platform": model.platform,
        "backend": "",
        "max_batch_size": model.max_batch_size,
        "input": [_config_tensor(each, skip, is_optional=each.name in model.optional_inputs) for each in model.inputs],
        "output": [_config_tensor(each, skip, is_optional=False) for each in model.outputs],
    }


def _config_tensor(tensor: Any, skip: int, *, is_optional: bool) -> dict[str, Any]:
    kind = "TYPE_STRING" if tensor.datatype == "BYTES" else f"TYPE_{tensor.datatype}"
    described = {"name": tensor.name, "data_type": kind, "dims": tensor.shape[skip:]}
    return {**described, "optional": True} if is_optional else described
