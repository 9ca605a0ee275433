"""What the bridge does when RabbitMQ does not take a message: it sends it again."""

from collections.abc import Callable

import pytest

from millrace_contracts.wire import Message, task_message
from millrace_ingest import publish
from millrace_ingest.errors import BrokerUnavailable
from millrace_ingest.publish import MAX_WAITING, Outgoing, Publisher


class Broker:
    """Stands in for RabbitMQ and the link to it; confirms what it is told to confirm."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.settle: Callable[[int, bool], None] = lambda _number, _is_queued: None
        self.answers: dict[int, bool] = {}
        self.is_away = False
        self.declared = 0
        self.connections = 0

    def connect(self, _url: str, _queue: str, *, on_settled: Callable[[int, bool], None]) -> "Broker":
        """Take the place of a new link."""
        self._check()
        self.settle = on_settled
        self.connections += 1
        self.numbers = 0
        return self

    def publish(self, message: Message) -> int:
        """Note what is sent."""
        self._check()
        self.sent.append(message.headers["id"])
        self.numbers += 1
        return self.numbers

    def listen(self, _seconds: float) -> None:
        """Give the answers that a test prepared."""
        self._check()
        for number, is_queued in self.answers.items():
            self.settle(number, is_queued)
        self.answers.clear()

    def declare(self) -> None:
        """Count it."""
        self.declared += 1

    def drop(self) -> None:
        """Nothing is to be closed."""

    def _check(self) -> None:
        if self.is_away:
            raise BrokerUnavailable("gone")


class World:
    """A publisher, its time and what it told."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.now = 0.0
        self.confirmed: list[str] = []
        self.published = 0
        self.publisher = Publisher("amqp://", "q", clock=lambda: self.now, on_published=self._count)

    def offer(self, *names: str, partition: int = 0) -> None:
        """Give it messages."""
        for name in names:
            self.publisher.offer(
                Outgoing(
                    place=("t", partition),
                    message=task_message("task", task_id=name, kwargs={}),
                    record_count=10,
                    on_confirmed=lambda name=name: self.confirmed.append(name),  # type: ignore[misc] # bound by default
                )
            )

    def work(self, *, after_seconds: float = 0.0) -> None:
        """Let it work once."""
        self.now += after_seconds
        self.publisher.work(wait_seconds=0.0)

    def _count(self, records: int) -> None:
        self.published += records


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    broker = Broker()
    monkeypatch.setattr(publish, "Link", broker.connect)
    return World(broker)


def test_several_messages_are_on_their_way_at_once_and_each_is_told_when_it_is_confirmed(world: World) -> None:
    world.offer("a", "b")
    world.work()
    world.broker.answers = {2: True}
    world.work()
    assert (["a", "b"], ["b"], 10) == (world.broker.sent, world.confirmed, world.published)


def test_what_is_not_confirmed_when_the_connection_breaks_is_sent_again_in_order(world: World) -> None:
    world.offer("a", "b", "c")
    world.broker.answers = {2: True}
    world.work()
    world.broker.is_away = True
    world.work()
    world.broker.is_away, world.broker.sent = False, []
    world.work(after_seconds=10)
    assert (["a", "c"], 2) == (world.broker.sent, world.broker.connections)


def test_a_broker_that_is_away_is_asked_again_after_growing_pauses(world: World) -> None:
    world.broker.is_away = True
    world.work()
    world.work(after_seconds=0.3)
    world.broker.is_away = False
    world.work(after_seconds=0.3)
    assert not world.publisher.is_connected
    world.work(after_seconds=0.3)
    assert world.publisher.is_connected


def test_a_message_that_no_queue_took_is_sent_again_after_the_queue_is_declared(world: World) -> None:
    world.offer("a")
    world.broker.answers = {1: False}
    world.work()
    assert (1, ["a"]) == (world.broker.declared, world.broker.sent)
    world.broker.answers = {2: True}
    world.work(after_seconds=1)
    assert (["a", "a"], ["a"]) == (world.broker.sent, world.confirmed)


def test_a_broker_that_confirms_nothing_for_long_is_taken_for_lost(world: World) -> None:
    world.offer("a")
    world.work()
    world.work(after_seconds=31)
    assert not world.publisher.is_connected
    world.work(after_seconds=1)
    assert ["a", "a"] == world.broker.sent


def test_messages_of_a_partition_that_others_read_now_are_not_sent(world: World) -> None:
    world.offer("mine")
    world.offer("theirs", partition=1)
    world.publisher.forget([("t", 1)])
    world.work()
    assert ["mine"] == world.broker.sent


def test_it_is_full_until_something_is_confirmed(world: World) -> None:
    world.offer(*(str(number) for number in range(MAX_WAITING)))
    world.work()
    assert world.publisher.is_full
    world.broker.answers = {1: True}
    world.work()
    assert not world.publisher.is_full
