"""Laws of window and counts: whatever dies between any two steps, every shard counts once and the job can end.

The planner, the workers' end of a shard and the ledger are the real ones, on a real Redis. Their messages lie in a
list, which delivers in any order, twice, or not at all.
"""

# ruff: noqa: D102 - the rules of the machine are named after what happens

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_tasks import Tasks, running_redis
from pydantic import SecretStr
from redis import Redis

from millrace_contracts import ledger
from millrace_contracts.inputs import ClaimInput, FileRef
from millrace_contracts.ledger import BeginShard, Field, State
from millrace_contracts.outputs import RedisOutput
from millrace_contracts.shard_index import Extent, pack
from millrace_contracts.tasks import FinalizeTask, JobRef, JobSpec, ModelRef, PlanTask, ShardTask
from millrace_operator.jobs.counts import count_records
from millrace_operator.jobs.readings import LedgerReading
from millrace_worker import feeding
from millrace_worker.context import Context
from millrace_worker.ledger import ShardCounts
from millrace_worker.settings import WorkerSettings
from millrace_worker.tasks.finalize import finalize
from millrace_worker.tasks.plan import plan

pytestmark = pytest.mark.integration

SHARDS = 5
WINDOW = 2
RECORDS = 10


class Died(BaseException):
    """A SIGKILL: nothing in the process notices it."""


@dataclass
class Fuse:
    """Lets something happen after so many steps of a process; None never."""

    steps: int | None = None
    event: Callable[[], None] = lambda: None

    def burn(self) -> None:
        if self.steps is not None:
            self.steps -= 1
            if self.steps < 0:
                self.steps = None
                self.event()


def die() -> None:
    raise Died


class Fragile:
    """Something whose every call may be the last thing that the process does: before it, or after it."""

    def __init__(self, real: Any, fuse: Fuse) -> None:
        self._real, self._fuse = real, fuse

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._real, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            answer = method(*arguments, **named)
            self._fuse.burn()
            return answer

        return call


@dataclass
class Messages:
    """What was published and not acked."""

    shards: list[ShardTask] = field(default_factory=list)
    finals: list[FinalizeTask] = field(default_factory=list)

    def ensure_queue(self, _: str) -> None:
        pass

    def publish_shard(self, task: ShardTask) -> None:
        self.shards.append(task)

    def publish_finalize(self, task: FinalizeTask) -> None:
        self.finals.append(task)


class AnyInterleaving(RuleBasedStateMachine):
    """Shards are delivered in any order and twice, workers die at any step, and the operator suspends and resumes."""

    port: int

    def __init__(self) -> None:
        super().__init__()
        self.fuse, self.messages = Fuse(), Messages()
        self.client = Redis(host="127.0.0.1", port=self.port, decode_responses=True)
        self.uid = uuid4().hex
        self.tasks = Tasks(self.client, shards=SHARDS, uid=self.uid)
        self.context = self.new_context()
        self.spec = JobSpec(
            job=JobRef(namespace="ns", name="name", uid=self.uid),
            model=ModelRef(name="m"),
            output=RedisOutput(),
            queue="q",
        )
        source = ClaimInput(claim_name="data", path="in.jsonl")
        self.plan_task = PlanTask(spec=self.spec, input=source, window=WINDOW)
        self.running: list[tuple[ShardTask, int]] = []
        self.failed: dict[int, int] = {}
        self.plans = 1
        self.extra = 0

    def new_context(self) -> Context:
        config = WorkerSettings(
            broker_url=SecretStr("amqp://nobody@127.0.0.1//"),
            redis_url=SecretStr(f"redis://127.0.0.1:{self.port}/0"),
            queue="q",
        )
        context = Context(settings=config, app=None)
        real = context.ledger, context.index
        context.__dict__["ledger"], context.__dict__["index"] = (Fragile(one, self.fuse) for one in real)
        context.__dict__["publisher"] = Fragile(self.messages, self.fuse)
        return context

    def dies(self, steps: int | None, work: Callable[[], object], *, event: Callable[[], None] = die) -> bool:
        """Do it, unless the process dies at this step of it, or something else happens there."""
        self.fuse.steps, self.fuse.event = steps, event
        try:
            work()
        except Died:
            return True
        finally:
            self.fuse.steps = None
        return False

    @property
    def epoch(self) -> int:
        return int(self.tasks.read(Field.EPOCH)[0] or 0)

    @initialize(deaths=st.lists(st.none() | st.integers(0, 4), min_size=10, max_size=10))
    def submit(self, deaths: list[int | None]) -> None:
        self.deaths = deaths
        self.tasks.submit()
        extents = [Extent(0, RECORDS, 1 + i * RECORDS, i * 100, 100) for i in range(SHARDS)]
        self.context.index.write(self.uid, pack(extents), files=[FileRef(uri="claim:data/in.jsonl")])

    @precondition(lambda self: self.plans)
    @rule(steps=st.none() | st.integers(0, 24))
    def a_plan_is_delivered(self, steps: int | None) -> None:
        before = len(self.messages.shards)
        if self.dies(steps, lambda: plan(self.plan_task, self.context)):
            # What it published is published again by the next.
            self.extra += len(self.messages.shards) - before
        else:
            self.plans -= 1

    @precondition(lambda self: self.plans)
    @rule(steps=st.integers(0, 24))
    def a_plan_is_overtaken(self, steps: int) -> None:
        """While it runs the operator has all published anew."""
        self.plans -= 1
        self.dies(steps, lambda: plan(self.plan_task, self.context), event=self.publish_anew)

    @rule()
    def a_plan_is_published_twice(self) -> None:
        self.plans = min(3, self.plans + 1)

    @precondition(lambda self: self.messages.shards)
    @rule(data=st.data(), failed=st.integers(0, RECORDS))
    def a_shard_is_delivered(self, data: st.DataObject, failed: int) -> None:
        at = data.draw(st.integers(0, len(self.messages.shards) - 1))
        self.deliver(self.messages.shards.pop(at), failed)

    def deliver(self, task: ShardTask, failed: int) -> None:
        index = task.shard.index
        begun = self.context.ledger.begin_shard(self.uid, index, records=RECORDS, epoch=task.epoch)
        assert (index in self.failed) == (begun.verdict in {BeginShard.DONE, BeginShard.DONE_ALL})
        if begun.verdict in {BeginShard.RUN, BeginShard.POISON}:
            self.running.append((task, failed))
            return
        before = len(self.messages.shards)
        feeding.publish_again(task, self.context, begun.verdict)
        assert len(self.messages.shards) - before <= 1

    @precondition(lambda self: self.running)
    @rule(data=st.data(), steps=st.none() | st.integers(0, 10))
    def a_shard_ends(self, data: st.DataObject, steps: int | None) -> None:
        at = data.draw(st.integers(0, len(self.running) - 1))
        self.end(*self.running.pop(at), steps)

    def end(self, task: ShardTask, failed: int, steps: int | None) -> None:
        index, before = task.shard.index, len(self.messages.shards)
        is_first = index not in self.failed
        counts = ShardCounts(planned=RECORDS, succeeded=RECORDS - failed, failed=failed)
        died = self.dies(steps, lambda: feeding.finish(task, self.context, counts))
        if is_first and self.client.getbit(ledger.done_key(self.uid), index):
            self.failed[index] = failed
        if died:
            # It is delivered again; and if it had published the next one, that is out twice in the end.
            self.extra += len(self.messages.shards) - before
            self.messages.shards.append(task)
            self.extra += index in self.failed

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def a_shard_is_given_back(self, data: st.DataObject) -> None:
        task, _ = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.context.ledger.release_shard(self.uid, task.shard.index, waiting_for="Triton")
        self.messages.shards.append(task)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), is_lost=st.booleans())
    def a_shard_is_delivered_again(self, data: st.DataObject, *, is_lost: bool) -> None:
        """Its worker died, or only its connection, and it goes on."""
        at = data.draw(st.integers(0, len(self.running) - 1))
        task = self.running.pop(at)[0] if is_lost else self.running[at][0]
        self.extra += not is_lost
        self.messages.shards.append(task)

    @rule()
    def the_job_is_suspended(self) -> None:
        self.tasks.suspend()

    @rule(are_lost=st.booleans())
    def the_job_is_published_anew(self, *, are_lost: bool) -> None:
        """A resume; or messages were lost, or the operator believes so."""
        if are_lost:
            self.messages.shards.clear()
        self.publish_anew()

    def publish_anew(self) -> None:
        if self.tasks.dispatch_anew() >= 0:
            self.plans += 1
            self.extra = 0

    @precondition(lambda self: self.messages.finals)
    @rule(steps=st.none() | st.integers(0, 6))
    def a_finalize_is_delivered(self, steps: int | None) -> None:
        if not self.dies(steps, lambda: finalize(self.messages.finals[0], self.context)):
            self.messages.finals.pop(0)

    @rule()
    def a_finalize_is_lost(self) -> None:
        if self.messages.finals:
            self.messages.finals.pop()
            self.plans += 1
            self.tasks.dispatch_anew()

    @invariant()
    def each_record_is_counted_once(self) -> None:
        names = (Field.TOTAL, Field.SUCCEEDED, Field.FAILED, Field.IN_FLIGHT, Field.SHARDS_DONE)
        total, succeeded, failed, in_flight, done = (int(value or 0) for value in self.tasks.read(*names))
        assert len(self.failed) == done
        assert sum(self.failed.values()) == failed
        assert len(self.failed) * RECORDS == succeeded + failed
        assert 0 <= in_flight
        if total:
            reading = LedgerReading(
                state=State.DISPATCHED, total=total, succeeded=succeeded, failed=failed, in_flight=in_flight
            )
            counts = count_records(reading, inline_count=None, has_ended=False)
            assert counts.pending >= 0
            assert SHARDS * RECORDS == counts.succeeded + counts.failed + counts.pending + counts.in_flight

    @invariant()
    def no_more_are_out_than_the_window_and_what_was_delivered_twice(self) -> None:
        out = [*self.messages.shards, *(task for task, _ in self.running)]
        current = [task for task in out if task.epoch == self.epoch]
        assert len(current) <= WINDOW + self.extra

    def teardown(self) -> None:
        """The job can always be ended: one more resume, and everything that is delivered is done."""
        try:
            if self.client.exists(self.tasks.job):
                self.run_to_the_end()
        finally:
            self.client.delete(*ledger.ledger_keys(self.uid))
            self.client.close()

    def next_death(self) -> int | None:
        return self.deaths.pop() if self.deaths else None

    def run_to_the_end(self) -> None:
        if self.tasks.read(Field.SUSPENDED)[0]:
            self.publish_anew()
        while self.plans:
            self.a_plan_is_delivered(steps=self.next_death())
        while self.messages.shards or self.running:
            if self.running:
                self.end(*self.running.pop(), self.next_death())
            else:
                self.deliver(self.messages.shards.pop(), 0)
            self.each_record_is_counted_once()
        while self.messages.finals:
            self.a_finalize_is_delivered(steps=self.next_death())
        assert ["finalized", str(SHARDS), "0"] == self.tasks.read(Field.STATE, Field.SHARDS_DONE, Field.IN_FLIGHT)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_redis() as number:
        yield number


def test_whatever_dies_every_shard_counts_once_and_the_job_can_end(port: int) -> None:
    machine = type("AnyInterleavingHere", (AnyInterleaving,), {"port": port})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
