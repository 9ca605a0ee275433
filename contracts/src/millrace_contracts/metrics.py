"""Names, units and labels of the operator's Prometheus metrics: dashboards, alerts and tests refer to these."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as it is exposed; the unit is part of the name."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


POOL: Final = ("namespace", "pool")

QUEUE_READY: Final = Metric("millrace_queue_messages_ready", "Messages that wait in the pool's queue.", POOL)
QUEUE_UNACKED: Final = Metric("millrace_queue_messages_unacked", "Messages that workers hold.", POOL)
QUEUE_CONSUMERS: Final = Metric("millrace_queue_consumers", "Consumers of the pool's queue.", POOL)
DEAD_LETTERS: Final = Metric("millrace_queue_dead_letters", "Messages in the pool's dead-letter queue.", POOL)
ARRIVAL_RATE: Final = Metric("millrace_pool_arrivals_per_second", "Tasks that arrive, mean of the last minute.", POOL)
SERVICE_SECONDS: Final = Metric(
    "millrace_pool_service_seconds", "Mean time of a task by Little's law; absent until measured.", POOL
)
REPLICAS_DESIRED: Final = Metric("millrace_pool_replicas_desired", "Replicas that the last decision asks for.", POOL)
REPLICAS_ACTUAL: Final = Metric("millrace_pool_replicas", "Replicas that the Deployment has.", POOL)
REPLICAS_READY: Final = Metric("millrace_pool_replicas_ready", "Replicas that are ready.", POOL)
METRICS_AVAILABLE: Final = Metric("millrace_pool_metrics_available", "1 if the queue could be read, else 0.", POOL)
DECISIONS: Final = Metric("millrace_pool_decisions_total", "Decisions by reason.", (*POOL, "reason"))
SCALINGS: Final = Metric("millrace_pool_scalings_total", "Writes of replicas.", (*POOL, "direction"))
LOOP_SECONDS: Final = Metric("millrace_loop_duration_seconds", "Duration of one pass of a control loop.", ("loop",))
LOOP_FAILURES: Final = Metric("millrace_loop_failures_total", "Passes that ended in an error.", ("loop",))
OBSERVATION_FAILURES: Final = Metric(
    "millrace_observation_failures_total", "Reads that failed, by what was read.", ("source",)
)
JOBS: Final = Metric("millrace_jobs", "PredictionJobs by state.", ("namespace", "state"))
RECORDS: Final = Metric("millrace_job_records_total", "Records by outcome.", ("namespace", "model", "outcome"))
