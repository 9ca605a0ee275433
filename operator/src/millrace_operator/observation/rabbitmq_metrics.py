"""Read all queues of a virtual host from RabbitMQ's Prometheus endpoint: one request a node, however many queues.

Chosen over the management API, which costs the broker several times the CPU, lags further behind, and whose statistics
are deprecated. Gauges come from the node that leads a queue, counters from the node that a client is connected to, so
every node is read and the answers are put together, by the names that the nodes give themselves.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from millrace_operator.errors import ObservationError
from millrace_operator.observation.counters import NOTHING, Counters

FAMILIES: Final = ("queue_coarse_metrics", "queue_consumer_count", "queue_delivery_metrics")
PREFIX: Final = "rabbitmq_detailed_"
_READY: Final = "queue_messages_ready"
_UNACKED: Final = "queue_messages_unacked"
_CONSUMERS: Final = "queue_consumers"
_INFO: Final = "queue_info"
_DELIVERED: Final = "queue_messages_delivered_ack_total"
_REDELIVERED: Final = "queue_messages_redelivered_total"
_ACKED: Final = "queue_messages_acked_total"
_WANTED: Final = frozenset({_READY, _UNACKED, _CONSUMERS, _INFO, _DELIVERED, _REDELIVERED, _ACKED})

_TEXT: Final = r'[^"\\\n]*(?:\\.[^"\\\n]*)*'
_SAMPLE: Final = re.compile(
    rf'^{PREFIX}\w+\{{(?:vhost="{_TEXT}",)?queue="({_TEXT})"((?:,\w+="{_TEXT}")*)\}} (\d+)$', re.MULTILINE
)
_NODE: Final = re.compile(r'\nrabbitmq_identity_info\{rabbitmq_node="([^"]+)"')
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """What the nodes say of one queue; None is "no sample", which is never zero."""

    ready: int | None = None
    unacked: int | None = None
    consumers: int | None = None
    has_leader: bool = False
    counters: Mapping[str, Counters] = field(default_factory=dict)
    """By node; each one that answered is there, with zeros if it has not counted anything."""


@dataclass(frozen=True, slots=True)
class NodeMetrics:
    """What one node says: values by series and queue, and the queues that it leads."""

    node: str
    values: Mapping[str, Mapping[str, int]]
    leads: frozenset[str]

    def counters(self, queue: str) -> Counters:
        """Read the counters of a queue."""
        delivered = self.values[_DELIVERED].get(queue)
        if delivered is None:
            return NOTHING
        return Counters(delivered, self.values[_REDELIVERED].get(queue, 0), self.values[_ACKED].get(queue, 0))


@dataclass(frozen=True, slots=True)
class BrokerMetrics:
    """What the nodes that answered say of all queues."""

    nodes: Sequence[NodeMetrics]
    silent: tuple[str, ...] = ()
    """Nodes that did not answer, with the reason."""

    def queue(self, name: str) -> QueueMetrics:
        """Put together what the nodes say of one queue."""
        return QueueMetrics(
            ready=self._sum(_READY, name),
            unacked=self._sum(_UNACKED, name),
            consumers=self._sum(_CONSUMERS, name),
            has_leader=any(name in node.leads for node in self.nodes),
            counters={node.node: node.counters(name) for node in self.nodes},
        )

    def ready(self, name: str) -> int | None:
        """Say how many messages wait in one queue, up to 5 s ago."""
        return self._sum(_READY, name)

    def _sum(self, series: str, queue: str) -> int | None:
        values = [node.values[series][queue] for node in self.nodes if queue in node.values[series]]
        return sum(values) if values else None


class RabbitMqMetrics:
    """Reads the detailed metrics of all nodes."""

    def __init__(self, *, urls: Sequence[str], virtual_host: str, timeout_seconds: float) -> None:
        self._urls = tuple(urls)
        self._params: list[tuple[str, str | int | float | bool | None]] = [
            ("vhost", virtual_host),
            *(("family", family) for family in FAMILIES),
        ]
        self._timeout_seconds = timeout_seconds
        # Inside a cluster a megabyte is cheap; to compress it each second costs the broker more than all the rest.
        self._client = httpx.AsyncClient(
            timeout=timeout_seconds, trust_env=False, headers={"Accept-Encoding": "identity"}
        )

    async def read(self) -> BrokerMetrics:
        """Read every node; raise ObservationError when none of them answers."""
        answers = await asyncio.gather(*(self._read_node(url) for url in self._urls))
        # Two addresses may lead to one node, which must not count twice.
        nodes = {answer.node: answer for answer in answers if isinstance(answer, NodeMetrics)}
        silent = tuple(str(answer) for answer in answers if isinstance(answer, ObservationError))
        if not nodes:
            raise ObservationError(f"RabbitMQ's metrics cannot be read at {', '.join(silent)}")
        return BrokerMetrics(nodes=tuple(nodes.values()), silent=silent)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _read_node(self, url: str) -> NodeMetrics | ObservationError:
        where = httpx.URL(url).netloc.decode()  # Without a user and a password, should it have them.
        try:
            # The limit of the client is one of each step; an answer that trickles in would take forever.
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._client.get(f"{url}/metrics/detailed", params=self._params)
        except (httpx.TimeoutException, TimeoutError):
            return ObservationError(f"{where} (no answer within {self._timeout_seconds:g} s)")
        except httpx.HTTPError as error:
            return ObservationError(f"{where} ({str(error) or type(error).__name__})")
        if response.status_code != httpx.codes.OK:
            return ObservationError(f"{where} ({_refusal(response.status_code)})")
        try:
            return parse(response.text)
        except ObservationError as error:
            return ObservationError(f"{where} ({error})")


def parse(text: str) -> NodeMetrics:
    """Read what one node says; raise ObservationError when it is not what RabbitMQ says.

    A parser for this one format, because prometheus_client's takes 20 times as long, and this runs every second.
    """
    node = _NODE.search(text, max(0, text.rfind("\nrabbitmq_identity_info{")))
    if node is None:
        raise ObservationError("the answer is not RabbitMQ's; MILLRACE_BROKER_METRICS_URLS must name its metrics port")
    values: dict[str, dict[str, int]] = {series: {} for series in _WANTED}
    leads: frozenset[str] = frozenset()
    for block in text.split(f"# TYPE {PREFIX}")[1:]:
        series = block.partition(" ")[0]
        if series not in _WANTED:
            continue
        samples = _SAMPLE.findall(block)
        if len(samples) != block.count(f"\n{PREFIX}"):
            raise ObservationError(f"RabbitMQ's series {series} cannot be understood; is this RabbitMQ 4?")
        if "\\" in block:
            samples = [(_plain(queue), labels, value) for queue, labels, value in samples]
        values[series] = {queue: int(value) for queue, _, value in samples}
        if series == _INFO:
            leads = frozenset(queue for queue, labels, _ in samples if 'membership="leader"' in labels)
    return NodeMetrics(node=node[1], values=values, leads=leads)


def _plain(label: str) -> str:
    return _ESCAPED.sub(r"\1", label) if "\\" in label else label


def _refusal(status: int) -> str:
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return f"answered {status}: something in front of it asks for a login; let the operator reach the port itself"
    return f"answered {status}"
