"""What tasks work with, made once per process and on first use, because worker processes are forked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import redis

from millrace_contracts.tasks import JobSpec
from millrace_worker import clock, ledger
from millrace_worker.answers import Answers
from millrace_worker.errors import ModelMissing, OutputUnwritable
from millrace_worker.inference.known_models import KnownModels
from millrace_worker.inference.model import ModelClient
from millrace_worker.inference.retry_policy import Pace
from millrace_worker.inference.triton import TritonClient
from millrace_worker.input.sources import Sources
from millrace_worker.job_index import JobIndex
from millrace_worker.kafka_message import KafkaSender
from millrace_worker.ledger import Ledger
from millrace_worker.prediction_cache import PredictionCache
from millrace_worker.publishing import Publisher
from millrace_worker.settings import WorkerSettings
from millrace_worker.storage.claims import Claims
from millrace_worker.storage.destination import Destination, open_destination


@dataclass
class Context:
    """The ledger, the broker, the claims and Triton, as one task sees them."""

    settings: WorkerSettings
    app: Any
    now: Callable[[], float] = clock.seconds_since_epoch
    pace: Pace = field(default_factory=Pace)

    @cached_property
    def redis(self) -> redis.Redis:
        """The Redis client; its connection pool notices a fork."""
        return ledger.connect(self.settings.redis_url.get_secret_value())

    @cached_property
    def ledger(self) -> Ledger:
        """The ledgers of all jobs."""
        return Ledger(self.redis, now=self.now)

    @cached_property
    def index(self) -> JobIndex:
        """Where the shards of all jobs lie."""
        return JobIndex(self.redis)

    @cached_property
    def publisher(self) -> Publisher:
        """Sends the tasks that follow from a task."""
        return Publisher(self.app, system_queue=self.settings.system_queue)

    @cached_property
    def claims(self) -> Claims:
        """The mounted claims."""
        return Claims(self.settings.claims_root)

    @cached_property
    def sources(self) -> Sources:
        """Where records are read from."""
        return Sources(self.claims)

    @cached_property
    def _triton(self) -> TritonClient:
        return TritonClient(self.settings.triton_url)

    @cached_property
    def answers(self) -> Answers:
        """The answers of single predictions."""
        return Answers(self.redis)

    @cached_property
    def prediction_cache(self) -> PredictionCache:
        """The cache of predictions; it stores nothing where there is none."""
        url = self.settings.cache_url
        return PredictionCache.connect(url.get_secret_value() if url else "")

    @cached_property
    def kafka(self) -> KafkaSender:
        """The producer of this process, or OutputUnwritable where there is no Kafka."""
        # An image of a pool that never writes to Kafka need not have its client.
        try:
            from millrace_worker.kafka import KafkaProducer  # noqa: PLC0415 - optional
        except ImportError as error:
            raise OutputUnwritable(
                "the image of this pool has no Kafka client; install millrace-worker[kafka] in it"
            ) from error
        return KafkaProducer.from_environment()

    @cached_property
    def known_models(self) -> KnownModels:
        """What this process remembers of the models that it asked."""
        return KnownModels(self.models)

    def close(self) -> None:
        """Give back what the end of the process would not."""
        if "kafka" in self.__dict__:
            self.kafka.close()
        if "sources" in self.__dict__:
            self.sources.close()

    def models(self) -> ModelClient:
        """Answer the pool's Triton, or say that it has none."""
        if not self.settings.triton_url:
            raise ModelMissing(
                f'the pool of queue "{self.settings.queue}" has no Triton; name another pool in spec.workerPoolRef, '
                "or set triton.mode of this one in the chart's values"
            )
        return self._triton

    def destination(self, spec: JobSpec) -> Destination:
        """Answer where the job's results go."""
        return open_destination(
            spec,
            claims=self.claims,
            client=self.redis,
            kafka=lambda: self.kafka,
            is_active=self.ledger.is_active,
        )
