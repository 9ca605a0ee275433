"""Have many quorum queues, and keep the backlog of some of them changing, until the standard input ends.

usage: hold_queues.py COUNT BUSY ; names are pool-0000, pool-0001 and so on, the first BUSY of them change.
"""

import os
import random
import sys
import threading
from typing import Any

import kombu

TURN_SECONDS = 1.0
CHANGES_A_TURN = 20
MOST_MESSAGES = 15
PURGED_SHARE = 0.3


def declare(channel: Any, count: int) -> None:
    """Have the queues, as workers declare theirs."""
    exchange = kombu.Exchange("bench")
    for number in range(count):
        name = f"pool-{number:04}"
        kombu.Queue(name, exchange, routing_key=name, queue_arguments={"x-queue-type": "quorum"})(channel).declare()


def change(channel: Any, producer: kombu.Producer, busy: int, chance: random.Random) -> None:
    """Let some queues grow and empty some others."""
    for _ in range(CHANGES_A_TURN):
        name = f"pool-{chance.randrange(busy):04}"
        if chance.random() < PURGED_SHARE:
            channel.queue_purge(name)
            continue
        for _ in range(chance.randint(1, MOST_MESSAGES)):
            producer.publish({}, exchange="bench", routing_key=name, serializer="json")


def set_at_the_end_of_input(over: threading.Event) -> None:
    """Set the event when whoever started this is gone."""
    sys.stdin.read()
    over.set()


def main(count: int, busy: int) -> None:
    """Hold them until nobody listens any more."""
    chance, over = random.Random(count), threading.Event()  # noqa: S311 - a load that is to be the same each time
    threading.Thread(target=set_at_the_end_of_input, args=(over,), daemon=True).start()
    with kombu.Connection(os.environ["BENCH_BROKER_URL"]) as connection:
        channel = connection.channel()
        declare(channel, count)
        print("declared", flush=True)  # noqa: T201 - whoever started this waits for it
        producer = kombu.Producer(connection.channel())
        while not over.wait(TURN_SECONDS):
            change(channel, producer, busy, chance)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
