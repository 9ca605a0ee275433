"""Routes of the schedules: what Beat sends, and when."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from millrace_contracts.queues import SYSTEM_QUEUE
from millrace_contracts.schedules import ScheduleEntry, ScheduleState
from millrace_gateway.admin.services import AdminServices, Services
from millrace_gateway.errors import Conflict, NotFound, RequestInvalid, Unavailable
from millrace_worker import clock
from millrace_worker.errors import (
    ScheduleInvalid,
    ScheduleNotFound,
    ScheduleOwned,
    ScheduleStoreUnavailable,
)
from millrace_worker.schedule import store
from millrace_worker.schedule.served import hint, read_pools

Answer = TypeVar("Answer")
Name = Annotated[str, Path(max_length=253, description="Name of the schedule.")]

router = APIRouter(prefix="/v1/schedules", tags=["schedules"])


class Switch(BaseModel):
    """Whether a schedule is to run."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool


@router.get("")
def list_schedules(services: Services) -> dict[str, Any]:
    """List all schedules, those of the chart's values too."""
    states = _asked(lambda: store.list_entries(services.redis))
    return {"items": _as_items(states, services)}


@router.get("/{name}")
def show(services: Services, name: Name) -> dict[str, Any]:
    """Show one schedule with its last and its next run."""
    return _shown(services, name)


@router.put("/{name}")
def save(services: Services, name: Name, entry: ScheduleEntry) -> dict[str, Any]:
    """Create or replace a schedule; it stays when the chart is upgraded."""
    if entry.name != name:
        raise RequestInvalid(f"the entry is named {entry.name!r} and the path {name!r}; let them agree")
    _asked(lambda: store.save(services.redis, entry))
    return _shown(services, name)


@router.delete("/{name}")
def remove(services: Services, name: Name) -> dict[str, Any]:
    """Remove a schedule that was made at run time."""
    _asked(lambda: store.remove(services.redis, name))
    return {"removed": name}


@router.patch("/{name}")
def switch(services: Services, name: Name, wanted: Switch) -> dict[str, Any]:
    """Pause a schedule, or let it go on."""
    _asked(lambda: store.set_enabled(services.redis, name, is_enabled=wanted.enabled))
    return _shown(services, name)


@router.post("/{name}/run")
async def run_now(services: Services, name: Name) -> dict[str, Any]:
    """Send at once what the schedule sends, beside its own times."""
    sending = await services.in_thread(lambda: _asked(lambda: store.run_now(services.redis, name)))
    await services.broker.publish(sending.message, sending.queue)
    return {"schedule": name, "queue": sending.queue, "taskId": sending.message.headers["id"]}


def _asked(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except ScheduleNotFound as error:
        raise NotFound(str(error)) from error
    except ScheduleOwned as error:
        raise Conflict(str(error)) from error
    except ScheduleInvalid as error:
        raise RequestInvalid(str(error)) from error
    except ScheduleStoreUnavailable as error:
        raise Unavailable("Redis does not answer now; nothing was changed, try again") from error


def _shown(services: AdminServices, name: str) -> dict[str, Any]:
    (shown,) = _as_items([_asked(lambda: store.get_entry(services.redis, name))], services)
    return shown


def _as_items(states: Sequence[ScheduleState], services: AdminServices) -> list[dict[str, Any]]:
    """Write entries with what became of them, and a hint where no pool is there for what they send."""
    pools = read_pools(services.redis, now=clock.seconds_since_epoch())
    items = []
    for state in states:
        item = state.entry.model_dump(mode="json", by_alias=True, exclude_none=True)
        item |= state.model_dump(mode="json", by_alias=True, exclude={"entry"})
        why = hint(state.entry, pools, system_queue=SYSTEM_QUEUE)
        items.append(item | ({"hint": why} if why else {}))
    return items
