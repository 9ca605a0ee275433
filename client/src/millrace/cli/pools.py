"""`millrace pools`: how many workers there are, and why."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from millrace.cli.output import View
from millrace.cli.session import Session, command
from millrace.cli.times import age, now

app = typer.Typer(name="pools", help="Worker pools: their size, and why it is that.", no_args_is_help=True)
PLURAL = "workerpools"

VIEW = View(
    kind="workerpool",
    nothing="There is no worker pool in this namespace.",
    columns={
        "NAME": lambda item: item["name"],
        "READY": lambda item: f"{_count(item['readyReplicas'])}/{_count(item['replicas'])}",
        "DESIRED": lambda item: item["desiredReplicas"],
        "WAITING": lambda item: item["queue"]["ready"],
        "RUNNING": lambda item: item["queue"]["unacked"],
        "WAIT": lambda item: item["wait"],
        "OBJECTIVE": lambda item: item["objective"],
        "REASON": lambda item: item["lastDecision"]["reason"],
    },
)


@command(app, "list", example="millrace pools list -n millrace")
def list_pools(
    session: Session,
    *,
    is_everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look into all namespaces.")] = False,
) -> None:
    """List the pools with what waits and why they have their size."""
    found = session.cluster.list_all(PLURAL, is_everywhere=is_everywhere)
    session.printer.many([pool_view(each) for each in found], VIEW)


@command(app, "explain", example="millrace pools explain digits")
def explain(session: Session, name: Annotated[str, typer.Argument(help="Name of the pool.")]) -> None:
    """Say why a pool has the size that it has: the decision, the numbers behind it, and what happened before."""
    pool = session.cluster.get(PLURAL, name)
    fields = f"involvedObject.kind=WorkerPool,involvedObject.uid={pool['metadata']['uid']}"
    history = sorted(
        (_event(each) for each in session.cluster.core("events", fields=fields)),
        key=lambda event: event["lastAt"] or "",
    )
    view = {**pool_view(pool), "conditions": pool.get("status", {}).get("conditions") or [], "history": history}
    session.printer.one(view, VIEW, details=_details)
    if session.printer.is_for_people and history:
        at = now()
        session.printer.heading("History, the latest last")
        session.printer.table(
            history,
            {
                "AGO": lambda event: age(event["lastAt"], at=at),
                "TIMES": lambda event: event["count"],
                "REASON": lambda event: event["reason"],
                "MESSAGE": lambda event: event["message"],
            },
        )


def pool_view(pool: dict[str, Any]) -> dict[str, Any]:
    """Reduce a WorkerPool to what is documented; what is not known is null."""
    spec, status = pool.get("spec", {}), pool.get("status", {})
    queue, decision = status.get("queue") or {}, status.get("lastDecision") or {}
    return {
        "name": pool["metadata"]["name"],
        "namespace": pool["metadata"]["namespace"],
        "queueName": spec.get("queue"),
        "mode": spec.get("mode"),
        "minReplicas": spec.get("minReplicas"),
        "maxReplicas": spec.get("maxReplicas"),
        **{
            key: status.get(key)
            for key in ("replicas", "readyReplicas", "desiredReplicas", "busyReplicas", "drainingReplicas")
        },
        "queue": {key: queue.get(key) for key in ("ready", "unacked", "consumers", "oldestMessageAgeSeconds")},
        **{
            key: status.get(key)
            for key in (
                "wait",
                "objective",
                "arrivalRate",
                "arrivalRateUpper",
                "serviceSeconds",
                "coldStartSeconds",
                "keepAliveSeconds",
                "predictedMissPercent",
            )
        },
        "lastDecision": {key: decision.get(key) for key in ("replicas", "reason", "message", "time")},
    }


def _details(view: dict[str, Any]) -> Iterable[tuple[str, object]]:
    decision, queue = view["lastDecision"], view["queue"]
    yield "Pool", f"{view['namespace']}/{view['name']} (queue {view['queueName']})"
    yield "Decision", f"{_count(decision['replicas'])} replicas, {decision['reason'] or 'none yet'}"
    yield "Why", decision["message"] or "the operator has not looked at this pool yet; is it running?"
    yield "Since", f"{age(decision['time'], at=now())} ago" if decision["time"] else ""
    yield "Pods", _pods(view)
    yield "Bounds", f"{_count(view['minReplicas'])} to {_count(view['maxReplicas'])}, mode {view['mode'] or 'unknown'}"
    yield "Tasks", _tasks(queue)
    yield "Wait", f"{view['wait'] or 'unknown'}, objective {view['objective'] or 'unknown'}"
    yield "Arrivals", _rate(view["arrivalRate"], upper=view["arrivalRateUpper"])
    yield "A task takes", _seconds(view["serviceSeconds"])
    yield "A pod starts in", _seconds(view["coldStartSeconds"])
    for condition in view["conditions"]:
        yield condition["type"], f"{condition['status']}, {condition['reason']}: {condition['message']}"


def _pods(view: dict[str, Any]) -> str:
    return (
        f"{_count(view['readyReplicas'])} ready of {_count(view['replicas'])}, "
        f"{_count(view['busyReplicas'])} busy, {_count(view['drainingReplicas'])} draining"
    )


def _tasks(queue: dict[str, Any]) -> str:
    oldest = queue["oldestMessageAgeSeconds"]
    waiting = (
        f"{_count(queue['ready'])} waiting, {_count(queue['unacked'])} running, {_count(queue['consumers'])} workers"
    )
    return waiting if not queue["ready"] or oldest is None else f"{waiting}; the oldest waits {oldest} s"


def _rate(rate: str | None, *, upper: str | None) -> str:
    if rate is None:
        return "unknown"
    return f"{rate}/s" + (f" (planned for up to {upper}/s)" if upper else "")


def _seconds(text: str | None) -> str:
    return "unknown" if text is None else f"{text} s"


def _count(value: int | None) -> str:
    """Show a count; a count that nobody could take is no zero."""
    return "?" if value is None else str(value)


def _event(event: dict[str, Any]) -> dict[str, Any]:
    series = event.get("series") or {}
    return {
        "type": event.get("type"),
        "reason": event.get("reason"),
        "message": event.get("message"),
        "count": series.get("count") or event.get("count") or 1,
        "lastAt": series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"),
    }
