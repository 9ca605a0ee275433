"""Read the registry of models in Redis; only workers write it."""

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from millrace_contracts.models import MODELS_KEY, ModelVersion, versions_key
from millrace_operator.errors import OperatorError


class RegistryUnknown(OperatorError):  # noqa: N818 - it says what happened
    """The registry cannot be read or understood, so nobody knows which versions there are."""


class ModelRegistry:
    """All versions of all models."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self) -> list[ModelVersion]:
        """Read every version, in two round trips; raises RegistryUnknown."""
        try:
            models = sorted(map(str, await self._redis.smembers(MODELS_KEY)))
            async with self._redis.pipeline(transaction=False) as pipeline:
                for model in models:
                    pipeline.hvals(versions_key(model))
                answers: list[list[str]] = await pipeline.execute() if models else []
            return [ModelVersion.model_validate_json(text) for answer in answers for text in answer]
        except (RedisError, OSError, TimeoutError) as error:
            raise RegistryUnknown(f"Redis, which holds the registry of models, does not answer: {error}") from error
        except ValidationError as error:
            raise RegistryUnknown(f"a version in the registry of models is not understood: {error}") from error
