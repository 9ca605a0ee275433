"""What may be concluded from RabbitMQ's two answers."""

from millrace_operator.errors import ObservationError
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.observation.broker import Declared
from millrace_operator.observation.rabbitmq import combine
from millrace_operator.observation.rabbitmq_metrics import BrokerMetrics, parse

LEADER = """
rabbitmq_detailed_queue_info{vhost="millrace",queue="digits",queue_type="quorum",membership="leader"} 1
rabbitmq_detailed_queue_messages_ready{vhost="millrace",queue="digits"} 90
rabbitmq_detailed_queue_messages_unacked{vhost="millrace",queue="digits"} 2
rabbitmq_detailed_queue_consumers{vhost="millrace",queue="digits"} 1
rabbitmq_detailed_queue_messages_acked_total{vhost="millrace",queue="digits"} 7
rabbitmq_detailed_queue_messages_ready{vhost="millrace",queue="digits.dead"} 4
"""
FOLLOWER = """
rabbitmq_detailed_queue_info{vhost="millrace",queue="digits",queue_type="quorum",membership="follower"} 1
rabbitmq_detailed_queue_messages_acked_total{vhost="millrace",queue="digits"} 30
"""


def read(*texts: str, ready: int = 96, consumers: int = 3) -> Reading:
    metrics = BrokerMetrics(queues=parse({f"node-{i}": text for i, text in enumerate(texts)}))
    return combine("digits", metrics, {"digits": Declared(ready=ready, consumers=consumers)})


def reason(reading: Reading) -> Blindness | None:
    return reading.reason if isinstance(reading, Unknown) else None


def test_what_waits_is_live_and_what_runs_comes_from_the_gauges_of_all_nodes() -> None:
    assert read(LEADER, FOLLOWER) == QueueReading(
        ready=96, unacked=2, consumers=3, acked_by_node={"node-0": 7, "node-1": 30}, dead_letters=4
    )


def test_a_zero_with_a_leader_is_a_measurement() -> None:
    reading = read(LEADER, ready=0)

    assert isinstance(reading, QueueReading)
    assert reading.ready == 0


def test_a_zero_without_a_leader_is_unknown() -> None:
    assert reason(read(FOLLOWER, ready=0, consumers=0)) == Blindness.QUEUE_WITHOUT_LEADER


def test_a_zero_before_the_first_sample_is_unknown() -> None:
    only_info = LEADER.splitlines()[1] + "\n"

    assert reason(read(only_info, ready=0)) == Blindness.NOT_YET_READ


def test_work_that_waits_counts_before_the_first_sample() -> None:
    assert read("", ready=5, consumers=0) == QueueReading(ready=5, unacked=0, consumers=0)


def test_a_queue_that_does_not_exist_is_unknown() -> None:
    metrics = BrokerMetrics(queues=parse({"node": LEADER}))

    assert reason(combine("digits", metrics, {"digits": None})) == Blindness.QUEUE_NOT_FOUND


def test_without_metrics_nothing_is_known_even_if_the_broker_answers() -> None:
    reading = combine("digits", ObservationError("no metrics"), {"digits": Declared(ready=0, consumers=0)})

    assert reason(reading) == Blindness.BROKER_UNREACHABLE


def test_without_a_live_answer_the_gauges_do() -> None:
    metrics = BrokerMetrics(queues=parse({"node": LEADER}))
    reading = combine("digits", metrics, ObservationError("AMQP is away"))

    assert isinstance(reading, QueueReading)
    assert (reading.ready, reading.consumers) == (90, 1)


def test_a_zero_of_the_gauge_alone_is_unknown() -> None:
    """After a restart the gauge of a queue that held messages was seen at 0."""
    text = LEADER.replace('queue="digits"} 90', 'queue="digits"} 0')
    reading = combine("digits", BrokerMetrics(queues=parse({"node": text})), ObservationError("AMQP is away"))

    assert reason(reading) == Blindness.BROKER_UNREACHABLE


def test_without_both_nothing_is_known() -> None:
    assert reason(combine("digits", ObservationError("a"), ObservationError("b"))) == Blindness.BROKER_UNREACHABLE
