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
QUEUE_OLDEST_SECONDS: Final = Metric(
    "millrace_queue_oldest_message_age_seconds", "Age of the oldest waiting task, in order of arrival.", POOL
)
QUEUE_CONSUMERS: Final = Metric("millrace_queue_consumers", "Consumers of the pool's queue.", POOL)
DEAD_LETTERS: Final = Metric("millrace_queue_dead_letters", "Messages in the pool's dead-letter queue.", POOL)
ARRIVAL_RATE: Final = Metric(
    "millrace_pool_arrivals_per_second", "Tasks that arrive; a single burst does not raise it.", POOL
)
SERVICE_SECONDS: Final = Metric(
    "millrace_pool_service_seconds", "Mean time of a task by Little's law; absent until measured.", POOL
)
ARRIVAL_RATE_UPPER: Final = Metric(
    "millrace_pool_arrivals_upper_per_second", "What the rate may be as well, given how few tasks were seen.", POOL
)
COLD_START_SECONDS: Final = Metric(
    "millrace_pool_cold_start_seconds", "From the decision to a pod's first heartbeat, 90th percentile.", POOL
)
COLD_STARTS: Final = Metric(
    "millrace_pool_cold_start_duration_seconds", "From the decision to a pod's first heartbeat, of each pod.", POOL
)
"""A histogram."""
KEEP_ALIVE_SECONDS: Final = Metric("millrace_pool_keep_alive_seconds", "How long the last idle pod stays.", POOL)
WAIT_SECONDS: Final = Metric(
    "millrace_pool_wait_seconds", "Wait that the newest task will have with the pods there or starting.", POOL
)
WAITS: Final = Metric(
    "millrace_pool_task_wait_seconds", "Wait of the tasks that started, in order of arrival, of each task.", POOL
)
"""A histogram."""
OBJECTIVE_SECONDS: Final = Metric("millrace_pool_objective_wait_seconds", "spec.objective.waitSeconds.", POOL)
OBJECTIVE_RATIO: Final = Metric("millrace_pool_objective_ratio", "spec.objective.percentile / 100.", POOL)
TASKS_STARTED: Final = Metric("millrace_pool_tasks_started_total", "Tasks that workers took, by the broker.", POOL)
TASKS_LATE: Final = Metric(
    "millrace_pool_tasks_late_total", "Tasks that workers took after the objective had passed.", POOL
)
MISS_RATIO: Final = Metric(
    "millrace_pool_predicted_miss_ratio", "Share of tasks that will wait longer than the objective, by Erlang C.", POOL
)
REPLICAS_DESIRED: Final = Metric("millrace_pool_replicas_desired", "Replicas that the last decision asks for.", POOL)
REPLICAS_ACTUAL: Final = Metric("millrace_pool_replicas", "Replicas that the Deployment has.", POOL)
REPLICAS_READY: Final = Metric("millrace_pool_replicas_ready", "Replicas that are ready.", POOL)
REPLICAS_DRAINING: Final = Metric("millrace_pool_replicas_draining", "Pods that take no more tasks.", POOL)
REPLICAS_BUSY: Final = Metric("millrace_pool_replicas_busy", "Pods that run a task; absent where none is heard.", POOL)
REPLICAS_MAX: Final = Metric("millrace_pool_replicas_max", "spec.maxReplicas.", POOL)
WORKERS_HEARD: Final = Metric("millrace_pool_workers_heard", "Workers of the pool with a fresh heartbeat.", POOL)
VICTIMS: Final = Metric(
    "millrace_pool_victims_total",
    "Pods that a scale-down removed: idle, starting, busy, or another than the chosen.",
    (*POOL, "state"),
)
DRAINS: Final = Metric(
    "millrace_pool_drains_total", "Drains that ended: removed, rearmed or timed-out.", (*POOL, "outcome")
)
BUDGET_CAPACITY: Final = Metric("millrace_budget_capacity_units", "spec.capacity.", ("namespace", "budget"))
BUDGET_USED: Final = Metric(
    "millrace_budget_used_units", "What the pods of all its pools hold.", ("namespace", "budget")
)
BUDGET_WANTED: Final = Metric("millrace_budget_wanted_units", "What its pools would use.", ("namespace", "budget"))
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
RECORD_FAILURES: Final = Metric(
    "millrace_job_record_failures_total", "Records that failed, by code.", ("namespace", "model", "code")
)
BEAT_TICKING: Final = Metric(
    "millrace_beat_ticking",
    "1 while a Celery Beat holds RedBeat's lock, which lapses 30 s after its last tick; absent where Redis is away.",
)
