"""The workers' view of the model registry in Redis: what serves, and what became of each version."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from millrace_contracts.models import (
    HISTORY_LENGTH,
    MODELS_KEY,
    ModelVersion,
    VersionState,
    serving_key,
    versions_key,
)
from millrace_worker.errors import LedgerUnavailable


class Registry:
    """All models; what is written is written in one transaction."""

    def __init__(self, client: redis.Redis, *, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now

    def serving(self, model: str) -> str:
        """Answer the version that serves, "" where no pipeline has published one."""
        with redis_answers():
            found = self._client.get(serving_key(model))
        return str(found or "")

    def versions(self, model: str) -> list[ModelVersion]:
        """Answer all versions that are remembered, the oldest first."""
        with redis_answers():
            stored: dict[str, str] = self._client.hgetall(versions_key(model))  # type: ignore[assignment] # sync client
        return sorted(map(ModelVersion.model_validate_json, stored.values()), key=lambda each: each.created_at)

    def record(self, version: ModelVersion) -> None:
        """Write what became of a version that does not serve; the time of its first record stays."""
        self._write([self._dated(version)])

    def begin_to_serve(self, version: ModelVersion) -> None:
        """Write that this version serves, and that the one before it does no more, at once for whoever reads."""
        now = self._now()
        before = [
            each.model_copy(
                update={
                    "state": VersionState.SUPERSEDED,
                    "message": f"served until version {version.version} did",
                    "changed_at": now,
                }
            )
            for each in self.versions(version.model)
            if each.state is VersionState.SERVING and each.version != version.version
        ]
        self._write([*before, self._dated(version)], serving=version.version)

    def _dated(self, version: ModelVersion) -> ModelVersion:
        known = {each.version: each for each in self.versions(version.model)}.get(version.version)
        created_at = known.created_at if known else version.created_at
        return version.model_copy(update={"created_at": created_at, "changed_at": self._now()})

    def _write(self, versions: list[ModelVersion], *, serving: str = "") -> None:
        model = versions[-1].model
        with redis_answers():
            pipeline = self._client.pipeline(transaction=True)
            for each in versions:
                pipeline.hset(versions_key(model), each.version, each.model_dump_json())
            if serving:
                pipeline.set(serving_key(model), serving)
            pipeline.sadd(MODELS_KEY, model)
            pipeline.execute()
        self._forget_old(model)

    def _forget_old(self, model: str) -> None:
        versions = self.versions(model)
        old = [each.version for each in versions if each.state is not VersionState.SERVING]
        excess = len(versions) - HISTORY_LENGTH
        if excess > 0:
            with redis_answers():
                self._client.hdel(versions_key(model), *old[:excess])


@contextmanager
def redis_answers() -> Iterator[None]:
    """Turn whatever Redis raises into LedgerUnavailable: it costs a pipeline time and nothing else."""
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise LedgerUnavailable(
            f"Redis does not serve the state of pipelines: {type(error).__name__}: {error}"
        ) from error
