"""What becomes of a request: from the cache, from an equal one in flight, or into a task; and its answer."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from millrace_contracts import wire
from millrace_contracts.predictions import PREDICT, Prediction, PredictionError, PredictionState
from millrace_gateway.admission import Admission
from millrace_gateway.answers import Answers
from millrace_gateway.asked import Asked, Record
from millrace_gateway.bodies import as_json
from millrace_gateway.cache import Cache, Kept
from millrace_gateway.errors import Conflict, GatewayError, NotFound, Unavailable
from millrace_gateway.flights import Flight, FlightKey, Flights
from millrace_gateway.gather import Answered, Gatherer
from millrace_gateway.metrics import Metrics
from millrace_gateway.publish import Broker
from millrace_gateway.settings import Config
from millrace_gateway.store import Answer, Store, ended, is_final, taken_from
from millrace_worker.logs import get_logger

DEADLINE_MESSAGE: Final = "nobody answered before the deadline that the caller gave"

LONGEST_WAIT_SECONDS: Final = 86_400.0
"""Of one step of those who wait without end."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Group:
    """What the records of one task have in common."""

    model: str
    version: str
    parameters: str
    """As JSON."""
    queue: str
    cache_ttl_seconds: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One record on its way into a task."""

    id: str
    item: str
    """As JSON."""
    deadline: float | None
    pending: Prediction


@dataclass(slots=True)
class Ticket:
    """A prediction that was accepted."""

    known: Answer
    """As last known."""
    waits_for: tuple[str, ...]
    """Ids whose answer is its answer."""
    channel: str
    deadline: float | None = None


class Predictor:
    """Accepts records and waits for their answers."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        cache: Cache,
        answers: Answers,
        admission: Admission,
        broker: Broker,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._config = config
        self._store = store
        self._cache = cache
        self._answers = answers
        self._admission = admission
        self._broker = broker
        self._metrics = metrics
        self.now = now
        self._flights = Flights(cache, answers, store)
        self.gatherer: Gatherer[Group, Entry] = Gatherer(
            self._publish, max_wait_seconds=config.max_wait_milliseconds / 1000, max_held=config.max_held_records
        )
        self._patient: set[asyncio.Future[Answer]] = set()
        self.is_draining = False

    def drain(self) -> None:
        """End the waits of those who can ask another replica; the process is about to end."""
        self.is_draining = True
        for future in self._patient:
            future.cancel()

    async def predict(self, asked: Asked, *, wait_seconds: float, must_answer: bool = False) -> list[Answer]:
        """Accept all records of a request or none, and answer what is known of them after the wait.

        `must_answer` waits on while the process ends: its caller has no id to ask another replica for.
        """
        tickets = await self._accept(asked)
        return await self.wait(tickets, seconds=wait_seconds, must_answer=must_answer)

    async def look_at(self, ids: Sequence[str]) -> list[Ticket]:
        """Find predictions by id; raises NotFound for the first that is not there."""
        found = await self._store.read(ids)
        tickets = []
        for name in ids:
            known = found[name]
            if known is None:
                kept = self._config.answer_ttl_seconds
                raise NotFound(f'there is no prediction "{name}"; answers are kept for {kept} s')
            tickets.append(
                Ticket(known, tuple(filter(None, (name, str(known.get("same_as", ""))))), str(known.get("channel", "")))
            )
        return tickets

    async def wait(self, tickets: Sequence[Ticket], *, seconds: float, must_answer: bool = False) -> list[Answer]:
        """Wait until all are final, at most so long; answers what is known then."""
        open_tickets = [each for each in tickets if not is_final(each.known)]
        if seconds > 0 and len(open_tickets) == 1:
            await self._wait_for(open_tickets[0], seconds, must_answer=must_answer)
        elif seconds > 0 and open_tickets:
            await asyncio.gather(*(self._wait_for(each, seconds, must_answer=must_answer) for each in open_tickets))
        return [each.known for each in tickets]

    async def cancel(self, name: str) -> Answer:
        """Cancel a prediction, or raise Conflict if it is final."""
        (ticket,) = await self.look_at([name])
        if not is_final(ticket.known):
            cancelled = ended(ticket.known, PredictionState.CANCELLED, now=self.now())
            if await self._store.settle(cancelled, channel=ticket.channel):
                return cancelled.model_dump(mode="json")
            (ticket,) = await self.look_at([name])
        raise Conflict(f'prediction "{name}" is {ticket.known["state"]} and cannot be cancelled any more')

    async def _wait_for(self, ticket: Ticket, seconds: float, *, must_answer: bool) -> None:
        until_deadline = float("inf") if ticket.deadline is None else max(0.0, ticket.deadline - self.now())
        if self.is_draining and not must_answer:
            return
        future = self._answers.expect(*ticket.waits_for)
        if not must_answer:
            self._patient.add(future)
        await self._answers.listen_to(ticket.channel)
        try:
            if ticket.channel != self._answers.channel and not future.done():
                # After the subscription: what was published before it would be missed.
                (again,) = await self.look_at([str(ticket.known["id"])])
                ticket.known = again.known
                if is_final(ticket.known):
                    return
            done, _ = await asyncio.wait((future,), timeout=min(seconds, until_deadline, LONGEST_WAIT_SECONDS))
            if done and not future.cancelled():
                ticket.known = taken_from(future.result(), ticket.known)
            elif not done and until_deadline <= seconds:
                await self._end_late(ticket)
        finally:
            self._patient.discard(future)
            self._answers.forget(future, *ticket.waits_for)
            await self._answers.leave(ticket.channel)

    async def _end_late(self, ticket: Ticket) -> None:
        failure = (PredictionError.DEADLINE_EXCEEDED, DEADLINE_MESSAGE)
        late = ended(ticket.known, PredictionState.FAILED, now=self.now(), failure=failure)
        if await self._store.settle(late, channel=ticket.channel):
            ticket.known = late.model_dump(mode="json")
        else:
            (again,) = await self.look_at([late.id])
            ticket.known = again.known

    async def _accept(self, asked: Asked) -> list[Ticket]:
        if not self._cache.is_wanted(asked):
            return await self._accept_uncached(asked)
        version = self._cache.version(asked)
        if len(asked.records) == 1:
            return [await self._accept_cached(asked, asked.records[0], version)]
        if not await version:
            return await self._accept_uncached(asked)
        outcomes = await asyncio.gather(
            *(self._accept_cached(asked, record, version) for record in asked.records), return_exceptions=True
        )
        tickets = [each for each in outcomes if isinstance(each, Ticket)]
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self._take_back([str(each.known["id"]) for each in tickets])
                raise outcome
        return tickets

    async def _accept_uncached(self, asked: Asked) -> list[Ticket]:
        self._admission.check(asked.queue)
        pending = [self._pending(asked) for _ in asked.records]
        await self._send(asked, list(zip(pending, asked.records, strict=True)), version=asked.version)
        return [self._ticket(each, asked) for each in pending]

    async def _accept_cached(self, asked: Asked, record: Record, version: "asyncio.Future[str]") -> Ticket:
        found = await self._cache.find(asked, record, version)
        if found.kept is not None:
            return await self._answered(asked, found.kept)
        if not found.key:
            (ticket,) = await self._accept_uncached(asked)
            return ticket
        self._admission.check(asked.queue)
        if asked.deadline is not None:
            # A computation that others share must not end with the deadline of one of them.
            self._metrics.cache(asked.model.name, "miss")
            pending = self._pending(asked)
            await self._send(asked, [(pending, record)], version=asked.version)
            return self._ticket(pending, asked)
        flight, is_ours = await self._flights.join(asked, FlightKey(found.key, asked.queue, asked.version))
        if flight.kept is not None:
            return await self._answered(asked, flight.kept)
        self._metrics.cache(asked.model.name, "miss" if is_ours else "coalesced")
        pending = self._pending(asked, flight)
        if not is_ours:
            await self._store.write([pending])
            return self._ticket(pending, asked)
        try:
            await self._send(asked, [(pending, record)], version=asked.version)
        except BaseException as error:
            self._flights.failed(flight, error if isinstance(error, GatewayError) else Unavailable("not sent"))
            raise
        self._flights.confirmed(asked, flight)
        return self._ticket(pending, asked)

    async def _answered(self, asked: Asked, kept: Kept) -> Ticket:
        self._metrics.cache(asked.model.name, "hit")
        now = self.now()
        answer = Prediction(
            id=_new_id(),
            state=PredictionState.SUCCEEDED,
            model=asked.model.name,
            model_version=kept.model_version,
            outputs=kept.outputs,
            cached=True,
            accepted_at=now,
            finished_at=now,
        )
        await self._store.write([answer])
        return Ticket(answer.model_dump(mode="json"), (answer.id,), "")

    async def _send(self, asked: Asked, what: Sequence[tuple[Prediction, Record]], *, version: str) -> None:
        group = Group(
            asked.model.name,
            version,
            as_json(asked.parameters),
            asked.queue,
            asked.model.cache_ttl_seconds if self._cache.is_wanted(asked) else 0,
        )
        entries = [(self._entry(asked, pending, record), len(record.text)) for pending, record in what]
        try:
            await self.gatherer.submit(group, entries, max_records=asked.model.max_batch_records)
        except Unavailable:
            await self._take_back([pending.id for pending, _ in what])
            raise
        finally:
            self._metrics.held.set(self.gatherer.held)

    async def _take_back(self, ids: Sequence[str]) -> None:
        """Cancel what was accepted of a request that could not be accepted whole; its caller never learns the ids."""
        try:
            for known in (await self._store.read_as_written(ids)).values():
                if known is not None and not is_final(known):
                    await self._store.settle(ended(known, PredictionState.CANCELLED, now=self.now()), channel="")
        except Unavailable as error:
            log.debug("records of a refused request stay; nobody asks for their answers", error=str(error))

    def _pending(self, asked: Asked, flight: Flight | None = None) -> Prediction:
        return Prediction(
            id=_new_id(),
            state=PredictionState.PENDING,
            model=asked.model.name,
            accepted_at=self.now(),
            channel=flight.channel if flight else self._answers.channel,
            same_as=flight.id if flight else "",
        )

    @staticmethod
    def _entry(asked: Asked, pending: Prediction, record: Record) -> Entry:
        name = pending.same_as or pending.id
        item = {"id": name, "trace": asked.trace, "deadline": asked.deadline}
        # The record was written as JSON when it was measured; it is not written again.
        return Entry(name, f'{as_json(item)[:-1]},"record":{record.text}}}', asked.deadline, pending)

    @staticmethod
    def _ticket(pending: Prediction, asked: Asked) -> Ticket:
        names = (pending.id, pending.same_as) if pending.same_as else (pending.id,)
        return Ticket(pending.model_dump(mode="json"), names, pending.channel, asked.deadline)

    async def _publish(self, group: Group, entries: Sequence[Entry]) -> Answered:
        """Write the pending predictions and publish their task, at the same time; both or neither.

        A task whose predictions could not be written computes in vain: its caller was refused and knows no id.
        Answers a future that is done with the first answer of the task.
        """
        self._broker.refuse_if_away()
        pending = [entry.pending for entry in entries]
        outcomes = await asyncio.gather(
            self._store.write(pending),
            self._broker.publish(self._message(group, entries), group.queue),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if outcome is not None:
                await self._take_back([each.id for each in pending])
                raise outcome
        self._metrics.batches.labels(group.model).observe(len(entries))
        answer = self._answers.expect(entries[0].id)
        answer.add_done_callback(lambda _: self._answers.forget(answer, entries[0].id))
        return answer

    def _message(self, group: Group, entries: Sequence[Entry]) -> wire.Message:
        deadlines = [entry.deadline for entry in entries]
        common = as_json(
            {
                "model": {"name": group.model, "version": group.version},
                "request_timeout_seconds": self._config.request_timeout_seconds,
                "deadline": None if None in deadlines else max(filter(None, deadlines)),
                "channel": self._answers.channel,
                "answer_ttl_seconds": self._config.answer_ttl_seconds,
                "cache_ttl_seconds": group.cache_ttl_seconds,
            }
        )
        items = ",".join(entry.item for entry in entries)
        payload = f'{common[:-1]},"parameters":{group.parameters},"items":[{items}]}}'
        return wire.encoded_task_message(
            PREDICT,
            task_id=f"predict-{secrets.token_hex(12)}",
            kwargs_json=f'{{"payload":{payload}}}'.encode(),
            origin="millrace-gateway",
        )


def _new_id() -> str:
    return secrets.token_hex(16)
