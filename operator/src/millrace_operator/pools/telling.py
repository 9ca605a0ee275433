"""Tell what a pass found out: metrics, log, Events and status, from one and the same report.

Statuses and Events go on in the background: they may be late, and must not make the next decision so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from millrace_contracts.resources import WORKER_POOLS
from millrace_operator.api.conditions import Condition
from millrace_operator.errors import KubernetesError, ObjectNotFound
from millrace_operator.model.decision import ScaleOutcome
from millrace_operator.model.reading import Unknown
from millrace_operator.pools.chores import Chores
from millrace_operator.pools.memory import PoolMemory
from millrace_operator.pools.ports import PoolLoopContext
from millrace_operator.pools.status_writes import MOST_COUNTS, Turn, is_worth_a_write, take_turns
from millrace_operator.reporting import metrics
from millrace_operator.reporting.events import Sight, announce
from millrace_operator.reporting.pool_conditions import conditions_of
from millrace_operator.reporting.report import Announcement, PoolReport
from millrace_operator.reporting.status import are_counts_equal, build_status, essence_of, is_at_rest

MOST_AT_A_TIME: Final = 64
MOST_UNSAID: Final = 20
Body = Mapping[str, Any]
log = structlog.get_logger("millrace.pools")


@dataclass(slots=True)
class Told:
    """A report, and what is to be written of it."""

    report: PoolReport
    memory: PoolMemory
    conditions: tuple[Condition, ...]
    essence: tuple[Any, ...]
    status: Mapping[str, Any] | None = None


class Teller:
    """Tells of pools, one write a pool at a time."""

    def __init__(self, context: PoolLoopContext) -> None:
        self._context = context
        self.chores = Chores(most=MOST_AT_A_TIME)

    def tell(self, reports: Sequence[tuple[PoolReport, PoolMemory]], bodies: Mapping[str, Body], *, now: float) -> None:
        """Begin to tell of all pools."""
        tales = {report.pool.uid: _look(report, memory, now) for report, memory in reports}
        self._draft(tales, now)
        for uid, tale in tales.items():
            if tale.status is None and not tale.memory.unsaid:
                continue
            if not self.chores.is_busy(uid) and self.chores.room > 0:
                self.chores.begin(uid, self._write(tale, bodies[uid], now))

    def _draft(self, tales: Mapping[str, Told], now: float) -> None:
        settings = self._context.settings
        turns = take_turns(
            (_turn(uid, tale) for uid, tale in tales.items() if not self.chores.is_busy(uid)),
            pools=len(tales),
            pass_seconds=settings.pool_loop_seconds,
            interval_seconds=settings.status_interval_seconds,
            now=now,
        )
        counts = 0
        for turn in turns:
            tale = tales[turn.uid]
            written = tale.memory.written
            if counts >= MOST_COUNTS and not turn.is_urgent:
                continue
            previous = tale.report.pool.status if written.status is None else written.status
            status = build_status(tale.report, conditions=tale.conditions, previous=previous, now=now)
            is_news = turn.is_urgent or not are_counts_equal(status, previous)
            is_due = is_worth_a_write(is_news=is_news, is_at_rest=is_at_rest(status, previous), age=now - written.at)
            if status == previous or not is_due:
                written.looked_at, written.essence = now, tale.essence
                continue
            tale.status = status
            counts += not turn.is_urgent

    async def _write(self, tale: Told, body: Body, now: float) -> None:
        pool, memory = tale.report.pool, tale.memory
        kubernetes = self._context.kubernetes
        try:
            if tale.status is not None:
                await kubernetes.replace_status(
                    WORKER_POOLS, namespace=pool.namespace, name=pool.name, uid=pool.uid, status=tale.status
                )
                memory.written.status, memory.written.essence = tale.status, tale.essence
                memory.written.at = memory.written.looked_at = now
            while memory.unsaid:
                first = memory.unsaid[0]
                await kubernetes.record_event(
                    body, type_=first.type, reason=first.reason, message=first.message, now=now
                )
                memory.unsaid.remove(first)
            memory.trouble = ""
        except ObjectNotFound:
            # The watch has not told us yet, or began anew and never will.
            self._context.forget_worker_pool(pool.uid)
        except KubernetesError as error:
            if str(error) != memory.trouble:
                log.warning("status is old until the API takes it again", pool=name_of(tale.report), error=str(error))
            memory.trouble = str(error)


def name_of(report: PoolReport) -> str:
    """Name a pool for the log."""
    return f"{report.pool.namespace}/{report.pool.name}"


def _look(report: PoolReport, memory: PoolMemory, now: float) -> Told:
    """Show a report in metrics and log, and keep what is to be said in Events."""
    memory.blind_passes = memory.blind_passes + 1 if isinstance(report.reading, Unknown) else 0
    metrics.gauges.show(report)
    metrics.count(report)
    sight = Sight(watched_seconds=now - memory.began_at, blind_passes=memory.blind_passes)
    news, memory.told = announce(report, told=memory.told, sight=sight)
    for announcement in news:
        _log(report, announcement)
        memory.unsaid.append(announcement)
    del memory.unsaid[:-MOST_UNSAID]
    conditions = conditions_of(report)
    return Told(report, memory, conditions, essence_of(report, conditions))


def _turn(uid: str, tale: Told) -> Turn:
    written = tale.memory.written
    return Turn(uid=uid, is_urgent=tale.essence != written.essence, looked_at=written.looked_at)


def _log(report: PoolReport, announcement: Announcement) -> None:
    write = log.warning if announcement.type == "Warning" else log.info
    outcome = report.outcome or ScaleOutcome(previous=0, current=0)
    extra = {"replicas": outcome.current, "was": outcome.previous} if outcome.is_changed else {}
    write(announcement.message, pool=name_of(report), reason=announcement.reason, **extra)
