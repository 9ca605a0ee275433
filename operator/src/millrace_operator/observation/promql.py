"""Read backlogs from Prometheus: for brokers that the operator cannot read itself.

An instant query answers with the time of the query, not that of the sample; what is old is what Prometheus itself takes
for stale, and then the answer is empty. So an empty answer, several series, NaN or an error are Unknown, never zero.
Queries are asked at most every few seconds, because Prometheus scrapes no faster, and all pools' at the same time.
"""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.clock import Clock
from millrace_operator.errors import ObservationError
from millrace_operator.model.reading import Blindness, Unknown
from millrace_operator.observation.bounded_http import read_page

MOST_REQUESTS: Final = 20
"""At the same time; more would only wait in Prometheus."""
LONGEST_EXPLANATION: Final = 200
ROUNDING: Final = 1e-6
"""Sums of floats are seldom whole."""
Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryReading:
    """What a pool's queries answered; None: not configured, or a series that does not exist (yet)."""

    read_at: float
    waiting: int
    running: int | None = None
    completed: int | None = None


@dataclass(slots=True)
class _Round:
    """The queries of one pass: when Prometheus does not answer one of them, the others are not asked."""

    failure: str = ""
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_REQUESTS))


class QueryError(Exception):
    """One query has no answer that can be used."""


class PrometheusQueries:
    """Asks the queries of pools."""

    def __init__(
        self,
        *,
        url: str,
        timeout_seconds: float,
        interval_seconds: float,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        address = httpx.URL(url)
        self._url = str(address.copy_with(username=None, password=None)).rstrip("/") + "/api/v1/query"
        auth = httpx.BasicAuth(address.username, address.password) if address.username else None
        self._client = httpx.AsyncClient(timeout=timeout_seconds, trust_env=False, auth=auth, transport=transport)
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._answers: dict[Key, tuple[float, WorkerPool, QueryReading | Unknown]] = {}

    async def observe(self, pools: Sequence[WorkerPool]) -> Mapping[Key, QueryReading | Unknown]:
        """Ask the queries of the pools whose last answers are not of the last seconds."""
        now = self._clock.now().timestamp()
        known = {pool.key: self._answers[pool.key] for pool in pools if self._is_fresh(pool, now)}
        this_round, due = _Round(), [pool for pool in pools if pool.key not in known]
        answers = await asyncio.gather(*(self._read(pool, this_round) for pool in due))
        self._answers = known | {pool.key: (now, pool, answer) for pool, answer in zip(due, answers, strict=True)}
        return {key: answer for key, (_, _, answer) in self._answers.items()}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _is_fresh(self, pool: WorkerPool, now: float) -> bool:
        asked_at, asked, _ = self._answers.get(pool.key, (-math.inf, None, None))
        return asked is not None and asked.source == pool.source and 0 <= now - asked_at < self._interval_seconds

    async def _read(self, pool: WorkerPool, this_round: _Round) -> QueryReading | Unknown:
        source, read_at = pool.source, self._clock.now().timestamp()
        queries = {
            "waitingQuery": source.waiting_query,
            "runningQuery": source.running_query,
            "completedQuery": source.completed_query,
        }
        numbers: dict[str, int | None] = {}
        for name, query in queries.items():
            try:
                numbers[name] = await self._ask(query, this_round) if query else None
            except QueryError as error:
                return _failed(f"spec.source.prometheus.{name} {error}")
            except ObservationError as error:
                this_round.failure = str(error)
                return Unknown(reason=Blindness.BROKER_UNREACHABLE, message=f"Prometheus cannot be read ({error})")
        waiting = numbers["waitingQuery"]
        if waiting is None:
            return _failed("spec.source.prometheus.waitingQuery answers nothing: its series do not exist or are stale")
        return QueryReading(
            read_at=read_at, waiting=waiting, running=numbers["runningQuery"], completed=numbers["completedQuery"]
        )

    async def _ask(self, query: str, this_round: _Round) -> int | None:
        async with this_round.turns:
            if this_round.failure:
                raise ObservationError(this_round.failure)
            status, body = await read_page(self._client, "POST", self._url, data={"query": query, "limit": "2"})
        return number_in(status, body)


def number_in(status: int, body: bytes) -> int | None:
    """Read the one number of an answer; None: no series. Raise QueryError for what is no number of tasks."""
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise ObservationError(f"it refuses the operator, {status}; see MILLRACE_PROMETHEUS_URL")
    try:
        answer = json.loads(body)
        is_answered = answer["status"] == "success"
    except (ValueError, TypeError, KeyError) as error:
        raise ObservationError(f"status {status} and no answer of Prometheus; see MILLRACE_PROMETHEUS_URL") from error
    if not is_answered:
        raise QueryError(f"fails: {_short(answer.get('error', status))}")
    if answer.get("warnings"):
        # Thanos says so when a store was away: the number would be too small.
        raise QueryError(f"is answered in part only: {_short(answer['warnings'])}")
    try:
        return _number(answer["data"])
    except (ValueError, TypeError, KeyError, LookupError) as error:
        raise QueryError("answers neither with a number nor with a series") from error


def _number(data: Mapping[str, Any]) -> int | None:
    kind, result = data["resultType"], data["result"]
    if kind == "vector":
        if len(result) > 1:
            raise QueryError("answers with several series; make one of them, such as sum(...)")
        if not result:
            return None
        result = result[0]["value"]
    elif kind != "scalar":
        raise QueryError(f"answers with a {_short(kind)}; it must be a number or one series")
    number = float(result[1])
    if not 0 <= number < math.inf:
        raise QueryError(f"answers {number:g}, which is no number of tasks")
    return math.ceil(number - ROUNDING)


def _failed(message: str) -> Unknown:
    return Unknown(reason=Blindness.QUERY_FAILED, message=message)


def _short(text: object) -> str:
    words = str(text)
    return words if len(words) <= LONGEST_EXPLANATION else words[:LONGEST_EXPLANATION] + "…"
