"""Plain AMQP for tests: declare, publish with confirms, take and ack."""

from typing import Any

from kombu import Connection, Exchange, Queue

from millrace_contracts.queues import DEAD_LETTER_EXCHANGE, EXCHANGE, QUEUE_ARGUMENTS, dead_letter_queue


class BrokerClient:
    """One connection to RabbitMQ."""

    def __init__(self, broker_url: str) -> None:
        self._connection = Connection(broker_url, transport_options={"confirm_publish": True})
        self._channel = self._connection.channel()
        self._consuming: list[Any] = []

    def declare(self, name: str) -> None:
        """Make a work queue as workers make it."""
        self._queue(name).bind(self._channel).declare()

    def declare_with_dead_letters(self, name: str) -> None:
        """Make a work queue whose rejected messages go to its dead-letter queue, by argument instead of by policy."""
        arguments = QUEUE_ARGUMENTS | {"x-dead-letter-exchange": DEAD_LETTER_EXCHANGE}
        dead = Queue(
            dead_letter_queue(name),
            exchange=Exchange(DEAD_LETTER_EXCHANGE, type="topic"),
            routing_key=name,
            queue_arguments=dict(QUEUE_ARGUMENTS),
        )
        dead.bind(self._channel).declare()
        self._queue(name, arguments).bind(self._channel).declare()

    def declare_for_this_connection_only(self) -> str:
        """Make a queue that the broker lets nobody else ask about; answer its name."""
        return str(self._channel.queue_declare(exclusive=True).queue)

    def publish(self, name: str, count: int) -> None:
        """Publish messages; each is confirmed."""
        producer = self._connection.Producer(self._channel)
        for number in range(count):
            producer.publish({"number": number}, exchange=EXCHANGE, routing_key=name)

    def publish_as_is(self, body: bytes, *, exchange: Exchange, routing_key: str, content_type: str) -> None:
        """Publish one message without a look at it."""
        producer = self._connection.Producer(self._channel)
        producer.publish(
            body, exchange=exchange, routing_key=routing_key, content_type=content_type, content_encoding="utf-8"
        )

    def take(self, name: str, count: int) -> list[Any]:
        """Take messages without acking them, as a worker that works on them."""
        taken: list[Any] = []
        channel = self._connection.channel()
        channel.basic_qos(0, count, a_global=False)
        consumer = self._connection.Consumer(
            self._queue(name), channel=channel, on_message=taken.append, auto_declare=False
        )
        consumer.consume()
        self._consuming.append(consumer)
        while len(taken) < count:
            self._connection.drain_events(timeout=60)
        return taken

    def get(self, name: str) -> Any | None:
        """Take one message and ack it; None if there is none."""
        return self._queue(name).bind(self._channel).get(no_ack=True)

    def close(self) -> None:
        """Close the connection; what was taken goes back."""
        try:
            self._connection.close()
        except OSError:
            # The broker was restarted by the test; there is nothing left to close.
            self._connection.collect()

    def _queue(self, name: str, arguments: dict[str, str] | None = None) -> Queue:
        return Queue(
            name,
            exchange=Exchange(EXCHANGE, type="topic"),
            routing_key=name,
            queue_arguments=dict(arguments or QUEUE_ARGUMENTS),
        )
