"""Routes of jobs' results that lie in Redis, a page at a time, so that a job of any size can be read."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from redis import RedisError

from millrace_contracts.results import errors_key, manifest_key, results_key
from millrace_gateway.admin.services import Services
from millrace_gateway.errors import NotFound, Unavailable

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Uid = Annotated[str, Path(pattern=r"^[0-9a-fA-F-]{1,64}$", description="metadata.uid of the PredictionJob.")]


@router.get("/{uid}/results")
def read_results(
    services: Services,
    uid: Uid,
    outcome: Literal["succeeded", "failed"] = "succeeded",
    cursor: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> dict[str, Any]:
    """Answer a page of records, in no order; a page may hold more or fewer than `limit`. `cursor` null is the end.

    As Redis scans a hash: while the job writes, a record may come twice.
    """
    key = results_key(uid) if outcome == "succeeded" else errors_key(uid)
    try:
        found: Any = services.redis.hscan(key, cursor, count=limit)
        if not found[1] and cursor == 0 and not _has_output(services, uid):
            raise NotFound(
                "Redis holds no results of this job: it has written none yet, their time to live is over, "
                "or its output is elsewhere (see status.output of the PredictionJob)",
            )
    except RedisError as error:
        raise Unavailable("Redis does not answer now; nothing was changed, try again") from error
    following, fields = found
    return {"items": [json.loads(text) for text in fields.values()], "cursor": following or None}


def _has_output(services: Services, uid: str) -> bool:
    return bool(services.redis.exists(results_key(uid), errors_key(uid), manifest_key(uid)))
