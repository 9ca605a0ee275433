"""Brokers and result backends by kind: what each can do, and which combinations are refused. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final


class BrokerKind(StrEnum):
    """Value of MILLRACE_BROKER_KIND."""

    RABBITMQ = "rabbitmq"
    REDIS = "redis"
    SQS = "sqs"


class ResultBackendKind(StrEnum):
    """Value of MILLRACE_RESULT_BACKEND_KIND."""

    REDIS = "redis"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    SQLITE = "sqlite"
    MONGODB = "mongodb"
    CASSANDRA = "cassandra"
    RPC = "rpc"


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether a broker has something, and how, in the words of the documentation."""

    is_there: bool
    how: str


def _yes(how: str) -> Capability:
    return Capability(is_there=True, how=how)


def _no(how: str) -> Capability:
    return Capability(is_there=False, how=how)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one kind of broker can do."""

    gateway_and_ingest: Capability
    confirms: Capability
    lost_worker: Capability
    delivery_limit: Capability
    dead_letters: Capability
    quorum: Capability
    priorities: Capability
    delayed_delivery: Capability
    events: Capability
    remote_control: Capability
    exact_depth: Capability
    drain_by_unacked: Capability
    fair_counters: Capability
    job_manifests: Capability


WHAT: Final[Mapping[str, str]] = {
    "gateway_and_ingest": "HTTP gateway and Kafka ingest",
    "confirms": "a published task is confirmed",
    "lost_worker": "task of a killed worker comes again",
    "delivery_limit": "a task that kills each worker is given up",
    "dead_letters": "what cannot be done is kept aside",
    "quorum": "survives the loss of a node",
    "priorities": "priorities within a queue",
    "delayed_delivery": "countdown and retry",
    "events": "task events (Flower, idle pods)",
    "remote_control": "remote control",
    "exact_depth": "queue depth for scaling",
    "drain_by_unacked": "drain without touching busy pods",
    "fair_counters": "arrivals and completions counted by the broker",
    "job_manifests": "PredictionJobs through the operator",
}
"""What the fields of Capabilities mean, in the order of the table."""

_RABBITMQ: Final = Capabilities(
    gateway_and_ingest=_yes("yes"),
    confirms=_yes("by the broker"),
    lost_worker=_yes("at once"),
    delivery_limit=_yes("after 20 deliveries, by the broker"),
    dead_letters=_yes("queue `<queue>.dead`, by the broker"),
    quorum=_yes("quorum queues on three nodes"),
    priorities=_yes("0 to 31, higher first"),
    delayed_delivery=_yes("in the broker"),
    events=_yes("yes"),
    remote_control=_yes("yes"),
    exact_depth=_yes("ready and unacked"),
    drain_by_unacked=_yes("yes"),
    fair_counters=_yes("yes"),
    job_manifests=_yes("yes"),
)

_REDIS: Final = Capabilities(
    gateway_and_ingest=_no("refused: they publish by AMQP"),
    confirms=_no("the answer of Redis; lost with a Redis that loses its last writes"),
    lost_worker=_yes("after the visibility timeout"),
    delivery_limit=_yes("after 20 deliveries, counted by the workers in the ledger's Redis"),
    dead_letters=_yes("list `<queue>.dead`, written by the worker"),
    quorum=_no("as safe as this Redis"),
    priorities=_yes("four steps (0, 3, 6, 9), lower first"),
    delayed_delivery=_yes("in a worker's memory, which must be shorter than the visibility timeout"),
    events=_yes("yes"),
    remote_control=_yes("yes"),
    exact_depth=_yes("lists, and what workers hold; `source: {type: Redis}`"),
    drain_by_unacked=_yes("yes, by what workers hold"),
    fair_counters=_no("completions by the workers' heartbeats only"),
    job_manifests=_yes("yes"),
)

_SQS: Final = Capabilities(
    gateway_and_ingest=_no("refused: they publish by AMQP"),
    confirms=_yes("the answer of SQS"),
    lost_worker=_yes("after the visibility timeout"),
    delivery_limit=_yes("after 20 receives, by the queue's redrive policy"),
    dead_letters=_yes("queue `<queue>-dead`, by the worker and by the redrive policy"),
    quorum=_yes("by SQS"),
    priorities=_no("none"),
    delayed_delivery=_yes("in a worker's memory, which must be shorter than the visibility timeout"),
    events=_no("none: no Flower, and no heartbeats"),
    remote_control=_no("none"),
    exact_depth=_no("approximate, through Prometheus only: `source: {type: Prometheus}`"),
    drain_by_unacked=_no("no: pods end by their grace period alone"),
    fair_counters=_no("none"),
    job_manifests=_yes("yes"),
)

_BY_KIND: Final = {BrokerKind.RABBITMQ: _RABBITMQ, BrokerKind.REDIS: _REDIS, BrokerKind.SQS: _SQS}

BROKER_SCHEMES: Final[Mapping[BrokerKind, tuple[str, ...]]] = {
    BrokerKind.RABBITMQ: ("amqp", "amqps", "pyamqp"),
    BrokerKind.REDIS: ("redis", "rediss"),
    BrokerKind.SQS: ("sqs",),
}
"""What a broker's URL may begin with."""

RESULT_SCHEMES: Final[Mapping[ResultBackendKind, tuple[str, ...]]] = {
    ResultBackendKind.REDIS: ("redis", "rediss"),
    ResultBackendKind.POSTGRESQL: ("postgresql",),
    ResultBackendKind.MYSQL: ("mysql", "mariadb"),
    ResultBackendKind.SQLITE: ("sqlite",),
    ResultBackendKind.MONGODB: ("mongodb", "mongodb+srv"),
    ResultBackendKind.CASSANDRA: ("cassandra",),
    ResultBackendKind.RPC: (),
}


def capabilities(kind: BrokerKind) -> Capabilities:
    """Answer what a kind of broker can do."""
    return _BY_KIND[kind]


def refusals(
    *,
    broker: BrokerKind,
    broker_url: str,
    results: ResultBackendKind,
    results_url: str,
    has_pipelines: bool = False,
) -> Iterator[str]:
    """Answer why settings cannot work together, each in a sentence without any address; nothing when they can."""
    yield from _wrong_schemes(broker, broker_url, results, results_url)
    if results is ResultBackendKind.RPC:
        if broker is BrokerKind.SQS:
            yield "RESULT_BACKEND_KIND rpc needs reply queues, which SQS has not; choose another result backend"
        if has_pipelines:
            yield (
                "RESULT_BACKEND_KIND rpc knows no chords, so the group inside a pipeline could never end; choose "
                "another result backend, or run no pipelines"
            )


def _wrong_schemes(broker: BrokerKind, broker_url: str, results: ResultBackendKind, results_url: str) -> Iterator[str]:
    if _scheme(broker_url) not in BROKER_SCHEMES[broker]:
        begins = " or ".join(f"{scheme}://" for scheme in BROKER_SCHEMES[broker])
        yield f"BROKER_KIND is {broker}, so BROKER_URL must begin with {begins}"
    schemes = RESULT_SCHEMES[results]
    if not schemes and results_url:
        yield f"RESULT_BACKEND_KIND {results} uses the broker; leave RESULT_BACKEND_URL empty"
    if schemes and _scheme(results_url) not in schemes:
        begins = " or ".join(f"{scheme}://" for scheme in schemes)
        yield f"RESULT_BACKEND_KIND is {results}, so RESULT_BACKEND_URL must begin with {begins}"


def _scheme(url: str) -> str:
    return url.partition("://")[0] if "://" in url else ""


def table() -> str:
    """Write the documentation's table of what each broker can do."""
    lines = ["| | RabbitMQ | Redis | SQS |", "| --- | --- | --- | --- |"]
    for field in fields(Capabilities):
        cells = (getattr(capabilities(kind), field.name) for kind in BrokerKind)
        texts = (cell.how if cell.is_there else f"**{cell.how}**" for cell in cells)
        lines.append(f"| {WHAT[field.name]} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"
