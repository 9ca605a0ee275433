"""A queue of RabbitMQ as its numbers show it: live counters and depth, a gauge that is up to 5 s old. For laws."""

from dataclasses import dataclass

from millrace_operator.observation.counters import NOTHING, Counters

GAUGE_SECONDS = 5.0


@dataclass
class SimulatedQueue:
    """What happens to messages, and what the broker counts of it."""

    refresh_at: float
    """When the gauge is refreshed for the first time."""
    arrived: int = 0
    ready: int = 0
    returned: int = 0
    """Of those that wait: how many were delivered before."""
    unacked: int = 0
    gauge: int = 0
    counters: Counters = NOTHING

    def publish(self, count: int) -> None:
        """Let messages arrive."""
        self.arrived += count
        self.ready += count

    def deliver(self, count: int) -> None:
        """Hand messages to workers, those that were returned first."""
        count = min(count, self.ready)
        again = min(count, self.returned)
        self.ready, self.returned, self.unacked = self.ready - count, self.returned - again, self.unacked + count
        self.counters = self.counters.plus(Counters(delivered=count, redelivered=again))

    def ack(self, count: int) -> None:
        """Let workers finish messages."""
        count = min(count, self.unacked)
        self.unacked -= count
        self.counters = self.counters.plus(Counters(acked=count))

    def reject(self, count: int) -> None:
        """Let workers give messages up: counted nowhere."""
        self.unacked -= min(count, self.unacked)

    def give_back(self, count: int) -> None:
        """Let workers return messages, as one that dies does: counted nowhere until they are delivered again."""
        count = min(count, self.unacked)
        self.unacked, self.ready, self.returned = self.unacked - count, self.ready + count, self.returned + count

    def purge_some(self, count: int) -> None:
        """Throw away some of what waits: counted nowhere."""
        self.ready -= min(count, self.ready)
        self.returned = min(self.returned, self.ready)

    def pass_time(self, until: float) -> None:
        """Refresh the gauge as often as it is due."""
        while self.refresh_at <= until:
            self.gauge, self.refresh_at = self.unacked, self.refresh_at + GAUGE_SECONDS
