"""What Prometheus reads from the gateway, in a registry of its own."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_RECORDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class _Evictions:
    """The counter of Redis itself, as last read; absent until it was read."""

    def __init__(self) -> None:
        self.keys: int | None = None

    def collect(self) -> Iterable[CounterMetricFamily]:
        if self.keys is not None:
            family = CounterMetricFamily(
                "millrace_gateway_cache_evictions", "Entries that the cache gave up for lack of memory."
            )
            family.add_metric([], self.keys)
            yield family


class Metrics:
    """All metrics of one gateway. Labels are bounded: routes, models of the config file, outcomes."""

    def __init__(self) -> None:
        # A second series for each, with the time when it was made, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client has it without types
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "millrace_gateway_requests", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "millrace_gateway_request_seconds",
            "From the first byte of a request to its answer, waits that the caller asked for included.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "millrace_gateway_batch_records",
            "Records of each task that was published.",
            ("model",),
            buckets=_RECORDS,
            registry=self.registry,
        )
        self.cache_outcomes = Counter(
            "millrace_gateway_cache_lookups",
            "Records by outcome: hit, miss, coalesced with an equal one in flight, error.",
            ("model", "outcome"),
            registry=self.registry,
        )
        self.refusals = Counter(
            "millrace_gateway_refusals", "Requests that were not accepted, by code.", ("code",), registry=self.registry
        )
        self.held = Gauge(
            "millrace_gateway_held_records", "Records that wait here for RabbitMQ.", registry=self.registry
        )
        self.broker_connected = Gauge(
            "millrace_gateway_broker_connected", "1 while RabbitMQ is connected, else 0.", registry=self.registry
        )
        self._evictions = _Evictions()
        self.registry.register(self._evictions)

    def cache(self, model: str, outcome: str) -> None:
        """Count a look-up."""
        self.cache_outcomes.labels(model, outcome).inc()

    def evicted(self, keys: int) -> None:
        """Note the eviction counter of the cache."""
        self._evictions.keys = keys

    def page(self) -> bytes:
        """Write the page for Prometheus."""
        return bytes(generate_latest(self.registry))
