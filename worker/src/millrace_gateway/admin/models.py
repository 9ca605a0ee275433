"""Routes of the model registry: which version serves, and what became of the others."""

from typing import Any

from fastapi import APIRouter
from redis import RedisError

from millrace_contracts.models import MODELS_KEY, ModelVersion, serving_key, versions_key
from millrace_gateway.admin.services import AdminServices, Services
from millrace_gateway.errors import NotFound, Unavailable

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
def list_models(services: Services) -> dict[str, Any]:
    """List the models that pipelines have made versions of."""
    try:
        names = sorted(str(name) for name in services.redis.smembers(MODELS_KEY))
        return {"items": [_summary(services, name) for name in names]}
    except RedisError as error:
        raise Unavailable("Redis does not answer now; nothing was changed, try again") from error


@router.get("/{model}/versions")
def list_versions(services: Services, model: str) -> dict[str, Any]:
    """List the versions of a model, the newest first, with what was measured and why each is in its state."""
    try:
        serving, versions = _serving(services, model), _versions(services, model)
    except RedisError as error:
        raise Unavailable("Redis does not answer now; nothing was changed, try again") from error
    if serving is None and not versions:
        raise NotFound(f"no pipeline has published model {model!r}; `millrace models list` names those known")
    return {"model": model, "serving": serving, "items": [version.model_dump(mode="json") for version in versions]}


def _summary(services: AdminServices, model: str) -> dict[str, Any]:
    versions = _versions(services, model)
    serving = _serving(services, model)
    current = next((version for version in versions if version.version == serving), None)
    latest = versions[0] if versions else None
    return {
        "model": model,
        "serving": serving,
        "metrics": current.metrics if current else {},
        "since": current.changed_at if current else None,
        "latest": latest.model_dump(mode="json") if latest else None,
    }


def _serving(services: AdminServices, model: str) -> str | None:
    found: Any = services.redis.get(serving_key(model))
    return None if found is None else str(found)


def _versions(services: AdminServices, model: str) -> list[ModelVersion]:
    found: Any = services.redis.hgetall(versions_key(model))
    versions = [ModelVersion.model_validate_json(text) for text in found.values()]
    return sorted(versions, key=lambda version: version.created_at, reverse=True)
