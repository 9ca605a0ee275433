"""What can go wrong in a worker, by what it means for the job.

WorkerError
├── SettingsInvalid         the process cannot start
├── JobImpossible           the job cannot be done and is stopped; `reason` is its JobFailure
│   ├── InputMissing, InputUnusable, InputHasNoRecords, InputChanged
│   ├── ModelMissing, ModelUnsuitable
│   ├── RetriesExhausted
│   └── OutputUnwritable
├── JobOver                 the job was stopped or deleted meanwhile; nothing is left to do
├── Unavailable             something does not answer now: it costs time, never a record
│   ├── TritonUnavailable
│   │   └── TritonTooSlow   it answers, but not within the request's time
│   ├── LedgerUnavailable
│   ├── AnswersUnavailable
│   ├── BrokerUnavailable
│   ├── KafkaUnavailable
│   ├── KubernetesUnavailable
│   ├── ReceiverUnavailable
│   └── StorageUnavailable
├── ScheduleError           a change of the schedule that cannot be made
│   ├── ScheduleInvalid     its time or its name is not usable
│   ├── ScheduleNotFound
│   ├── ScheduleOwned       it belongs to the chart's values
│   └── ScheduleStoreUnavailable
├── ResultBackendLacksChords
├── JobRefused              the API server does not take a job of the schedule, and would not later
├── RecordInvalid           one record does not fit the model; its neighbours are not concerned
└── BatchError              Triton answered a batch with an error; it is bisected
    ├── BatchRejected       the input is at fault: sending it again changes nothing
    └── BatchFailed         the model failed: a record that stands alone is tried again
"""

from typing import ClassVar

from millrace_contracts.errors import JobFailure


class WorkerError(Exception):
    """Base of all errors that the worker raises itself."""


class SettingsInvalid(WorkerError):  # noqa: N818 - it says what happened
    """The environment of this process is incomplete or wrong."""


class JobImpossible(WorkerError):  # noqa: N818 - it says what happened
    """The job cannot be done; the message is for its user and says what to do."""

    reason: ClassVar[JobFailure]


class InputMissing(JobImpossible):
    """There is no such claim or file."""

    reason = JobFailure.INPUT_NOT_FOUND


class InputUnusable(JobImpossible):
    """The input is there and cannot be read as what the job says it is."""

    reason = JobFailure.INPUT_INVALID


class InputHasNoRecords(JobImpossible):
    """The input is there and has no record."""

    reason = JobFailure.INPUT_EMPTY


class InputChanged(JobImpossible):
    """A file is not what it was when the job was planned, so its shards are cut in the wrong places."""

    reason = JobFailure.INPUT_CHANGED


class ModelMissing(JobImpossible):
    """Triton does not serve this model or version."""

    reason = JobFailure.MODEL_NOT_FOUND


class ModelUnsuitable(JobImpossible):
    """Triton serves the model, but not by one answer for one request."""

    reason = JobFailure.MODEL_INCOMPATIBLE


class RetriesExhausted(JobImpossible):
    """A record failed in a way for which the job's retry rules stop all of it."""

    reason = JobFailure.RETRIES_EXHAUSTED


class OutputUnwritable(JobImpossible):
    """Results cannot be written, and waiting does not help."""

    reason = JobFailure.OUTPUT_WRITE_FAILED


class JobOver(WorkerError):  # noqa: N818 - it says what happened
    """The job was stopped or deleted while a shard was at work."""


class Unavailable(WorkerError):  # noqa: N818 - it says what happened
    """Something that the work needs does not answer now; the message says what is waited for."""


class TritonUnavailable(Unavailable):
    """Triton is unreachable, overloaded or starting."""


class TritonTooSlow(TritonUnavailable):
    """Triton did not answer within the time of one request."""


class LedgerUnavailable(Unavailable):
    """Redis does not answer, or takes no writes."""


class AnswersUnavailable(Unavailable):
    """Redis does not answer, or takes no answers of predictions or marks of events."""


class BrokerUnavailable(Unavailable):
    """RabbitMQ did not confirm a message."""


class KafkaUnavailable(Unavailable):
    """Kafka did not confirm a message."""


class StorageUnavailable(Unavailable):
    """A volume answers with an error that passes, such as that of a network file system without its server."""


class ReceiverUnavailable(Unavailable):
    """Whoever is to be told of a job's events does not take it now, or its secret is not there."""


class KubernetesUnavailable(Unavailable):
    """The API server does not answer now, or asks to come later."""


class ScheduleError(WorkerError):
    """The schedule cannot be changed or read as asked; the message is for whoever asked."""


class ScheduleInvalid(ScheduleError):  # noqa: N818 - it says what happened
    """An entry has no time that ever comes, or cannot be understood."""


class ScheduleNotFound(ScheduleError):  # noqa: N818 - it says what happened
    """There is no entry of this name."""


class ScheduleOwned(ScheduleError):  # noqa: N818 - it says what happened
    """The entry belongs to the chart's values and is changed there."""


class ScheduleStoreUnavailable(ScheduleError):  # noqa: N818 - it says what happened
    """Redis does not answer, or takes no writes."""


class ResultBackendLacksChords(WorkerError):  # noqa: N818 - it says what happened
    """A chord was called with a result backend that cannot count."""


class JobRefused(WorkerError):  # noqa: N818 - it says what happened
    """The API server refused a PredictionJob for a reason that waiting does not change."""


class RecordInvalid(WorkerError):  # noqa: N818 - it says what happened
    """A record lacks a tensor, or has one of the wrong shape or type."""


class BatchError(WorkerError):
    """Triton answered one request with an error; `status` is the name of its gRPC status, as far as it is known."""

    def __init__(self, message: str, *, status: str = "") -> None:
        super().__init__(message)
        self.status = status


class BatchRejected(BatchError):  # noqa: N818 - it says what happened
    """Triton refused the input."""


class BatchFailed(BatchError):  # noqa: N818 - it says what happened
    """The model failed on the input."""
