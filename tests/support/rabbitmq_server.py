"""Whether RabbitMQ serves clients, asked as a client: its own tools start a second Erlang for each question."""

from amqp.exceptions import AMQPError
from containers import Container
from kombu import Connection
from waiters import wait_until


def wait_for_rabbitmq(container: Container, url: str) -> None:
    """Wait until a client of this URL gets in."""
    wait_until(lambda: _lets_in(url), what="RabbitMQ", timeout_seconds=120, explain=container.last_lines)


def _lets_in(url: str) -> bool:
    try:
        with Connection(url, connect_timeout=10) as connection:
            connection.connect()
    except (OSError, AMQPError):
        return False
    return True
