"""What may be concluded from RabbitMQ's two answers."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import pytest

from millrace_operator.clock import Clock
from millrace_operator.errors import ObservationError
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.observation.broker import Answer, Declared
from millrace_operator.observation.counters import Counters
from millrace_operator.observation.queue_tally import QueueTally
from millrace_operator.observation.rabbitmq import RabbitMqObserver, combine
from millrace_operator.observation.rabbitmq_metrics import BrokerMetrics, NodeMetrics, QueueMetrics, parse

LEADER = """
# TYPE rabbitmq_detailed_queue_messages_ready gauge
rabbitmq_detailed_queue_messages_ready{vhost="millrace",queue="digits"} 90
rabbitmq_detailed_queue_messages_ready{vhost="millrace",queue="digits.dead"} 4
# TYPE rabbitmq_detailed_queue_messages_unacked gauge
rabbitmq_detailed_queue_messages_unacked{vhost="millrace",queue="digits"} 2
# TYPE rabbitmq_detailed_queue_consumers gauge
rabbitmq_detailed_queue_consumers{vhost="millrace",queue="digits"} 1
# TYPE rabbitmq_detailed_queue_messages_delivered_ack_total counter
rabbitmq_detailed_queue_messages_delivered_ack_total{vhost="millrace",queue="digits"} 9
# TYPE rabbitmq_detailed_queue_messages_redelivered_total counter
rabbitmq_detailed_queue_messages_redelivered_total{vhost="millrace",queue="digits"} 1
# TYPE rabbitmq_detailed_queue_messages_acked_total counter
rabbitmq_detailed_queue_messages_acked_total{vhost="millrace",queue="digits"} 7
# TYPE rabbitmq_detailed_queue_info gauge
rabbitmq_detailed_queue_info{vhost="millrace",queue="digits",queue_type="rabbit_quorum_queue",membership="leader"} 1
# TYPE rabbitmq_identity_info untyped
rabbitmq_identity_info{rabbitmq_node="rabbit@one",rabbitmq_endpoint="detailed"} 1
"""
FOLLOWER = """
# TYPE rabbitmq_detailed_queue_messages_delivered_ack_total counter
rabbitmq_detailed_queue_messages_delivered_ack_total{vhost="millrace",queue="digits"} 30
# TYPE rabbitmq_detailed_queue_messages_acked_total counter
rabbitmq_detailed_queue_messages_acked_total{vhost="millrace",queue="digits"} 30
# TYPE rabbitmq_detailed_queue_info gauge
rabbitmq_detailed_queue_info{vhost="millrace",queue="digits",queue_type="rabbit_quorum_queue",membership="follower"} 1
# TYPE rabbitmq_identity_info untyped
rabbitmq_identity_info{rabbitmq_node="rabbit@two",rabbitmq_endpoint="detailed"} 1
"""
NO_SAMPLE = LEADER.replace("_unacked", "_others")
DECLARED = Declared(ready=96, consumers=3)


def metrics_of(*texts: str) -> BrokerMetrics:
    return BrokerMetrics(nodes=tuple(map(parse, texts)))


def read(*texts: str, declared: Declared | ObservationError | None = DECLARED) -> Reading:
    answers = declared if isinstance(declared, ObservationError) else {"digits": declared}
    return combine("digits", metrics_of(*texts), answers, tally=QueueTally(), read_at=1_000.0, now=5.0)[0]


def reason(reading: Reading) -> Blindness | None:
    return reading.reason if isinstance(reading, Unknown) else None


def test_what_waits_is_live_and_what_workers_hold_begins_with_the_gauge() -> None:
    assert QueueReading(
        read_at=1_000.0, ready=96, unacked=2, consumers=3, arrivals_total=0, completions_total=0, dead_letters=4
    ) == read(LEADER, FOLLOWER)


def test_from_then_on_the_counters_of_all_nodes_tell_what_workers_hold_what_arrived_and_what_ended() -> None:
    _, tally = combine(
        "digits", metrics_of(LEADER, FOLLOWER), {"digits": DECLARED}, tally=QueueTally(), read_at=0, now=0
    )
    later = metrics_of(
        LEADER.replace('queue="digits"} 9\n', 'queue="digits"} 12\n'),
        FOLLOWER.replace('queue="digits"} 30', 'queue="digits"} 31'),
    )

    reading, _ = combine("digits", later, {"digits": DECLARED}, tally=tally, read_at=1, now=1)

    assert isinstance(reading, QueueReading)
    assert (5, 4, 1) == (reading.unacked, reading.arrivals_total, reading.completions_total)


def test_a_zero_with_a_leader_is_a_measurement() -> None:
    reading = read(LEADER, declared=Declared(ready=0, consumers=3))

    assert isinstance(reading, QueueReading)
    assert 0 == reading.ready


def test_a_zero_without_a_leader_is_unknown() -> None:
    assert Blindness.QUEUE_WITHOUT_LEADER == reason(read(FOLLOWER, declared=Declared(ready=0, consumers=0)))


def test_what_is_unknown_leaves_the_memory_as_it_was() -> None:
    tally = QueueTally(arrivals=7)
    zero = {"digits": Declared(ready=0, consumers=0)}

    assert tally is combine("digits", metrics_of(FOLLOWER), zero, tally=tally, read_at=0, now=0)[1]


def test_a_zero_before_the_first_sample_is_unknown() -> None:
    assert Blindness.NOT_YET_READ == reason(read(NO_SAMPLE, declared=Declared(ready=0, consumers=0)))


def test_work_that_waits_counts_before_the_first_sample() -> None:
    reading = read(NO_SAMPLE, declared=Declared(ready=5, consumers=0))

    assert isinstance(reading, QueueReading)
    assert (5, 0) == (reading.ready, reading.unacked)


def test_a_queue_that_does_not_exist_is_unknown() -> None:
    assert Blindness.QUEUE_NOT_FOUND == reason(read(LEADER, declared=None))


def test_a_queue_that_the_broker_refuses_to_tell_of_is_unknown() -> None:
    metrics, refused = metrics_of(LEADER), {"digits": ObservationError("locked")}
    reading, _ = combine("digits", metrics, refused, tally=QueueTally(), read_at=0, now=0)

    assert Unknown(reason=Blindness.QUERY_FAILED, message="locked") == reading


def test_without_a_live_answer_the_gauges_do() -> None:
    reading = read(LEADER, declared=ObservationError("AMQP is away"))

    assert isinstance(reading, QueueReading)
    assert (90, 1) == (reading.ready, reading.consumers)


def test_a_zero_of_the_gauge_alone_is_unknown() -> None:
    """After a restart the gauge of a queue that held messages was seen at 0."""
    text = LEADER.replace('queue="digits"} 90', 'queue="digits"} 0')

    assert Blindness.BROKER_UNREACHABLE == reason(read(text, declared=ObservationError("AMQP is away")))


def test_a_queue_that_no_node_knows_has_no_samples_and_counters_at_zero() -> None:
    assert QueueMetrics(counters={"rabbit@one": Counters()}) == metrics_of(LEADER).queue("nobody")


class AnsweringMetrics:
    """Metrics as a test wants them."""

    def __init__(self, answer: BrokerMetrics | ObservationError) -> None:
        self.answer = answer

    async def read(self) -> BrokerMetrics:
        """Answer, or raise."""
        if isinstance(self.answer, ObservationError):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        """Nothing is open."""


class AnsweringDeclares:
    """Every queue exists and holds the same."""

    async def read(self, queues: Collection[str]) -> Mapping[str, Answer]:
        """Answer."""
        return dict.fromkeys(queues, DECLARED)

    async def close(self) -> None:
        """Nothing is open."""


class SteppingClock(Clock):
    """Each look at it is so much later than the one before."""

    def __init__(self, step_seconds: float = 0.0) -> None:
        self.step_seconds, self.seconds = step_seconds, 0.0

    def now(self) -> datetime:
        """Always the same."""
        return datetime.fromtimestamp(1_000, UTC)

    def monotonic_seconds(self) -> float:
        """Later each time."""
        self.seconds += self.step_seconds
        return self.seconds


def observe(answer: BrokerMetrics | ObservationError, *, step_seconds: float = 0.0) -> Reading:
    observer = RabbitMqObserver(
        metrics=AnsweringMetrics(answer), declares=AnsweringDeclares(), clock=SteppingClock(step_seconds)
    )
    return asyncio.run(observer.observe(["digits"]))["digits"]


def test_a_reading_carries_its_time() -> None:
    reading = observe(metrics_of(LEADER))

    assert isinstance(reading, QueueReading)
    assert 1_000 == reading.read_at


def test_without_metrics_nothing_is_known_even_if_the_broker_answers() -> None:
    assert Blindness.BROKER_UNREACHABLE == reason(observe(ObservationError("no metrics")))


def test_a_read_that_took_too_long_tells_the_past() -> None:
    assert Blindness.STALE == reason(observe(metrics_of(LEADER), step_seconds=11.0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>Sign in</html>",
        LEADER.replace("rabbitmq_identity_info{", "other{"),
        LEADER.replace('"} 90', '"} many'),
    ],
)
def test_what_is_not_what_rabbitmq_says_is_an_error(text: str) -> None:
    with pytest.raises(ObservationError):
        parse(text)


def test_a_queue_may_have_any_name() -> None:
    names = {'we"ird,}q\\x', "two  spaces", "ümlaut", 'vhost="x",queue="y"'}
    escaped = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    lines = (f'rabbitmq_detailed_queue_messages_ready{{vhost="a\\"b",queue="{name}"}} 3\n' for name in escaped)
    node: NodeMetrics = parse("# TYPE rabbitmq_detailed_queue_messages_ready gauge\n" + "".join(lines) + LEADER[-200:])

    assert dict.fromkeys(names, 3) == node.values["queue_messages_ready"]
