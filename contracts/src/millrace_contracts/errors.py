"""Why a record or a job failed: the codes that results, ledger, status and metrics share."""

from enum import StrEnum


class RecordError(StrEnum):
    """Why one record has no prediction. Each failed record has exactly one of these."""

    MALFORMED_JSON = "MalformedJSON"
    """The line is not a JSON object."""
    MALFORMED_ROW = "MalformedRow"
    """A row of a CSV or Parquet file that cannot be read."""
    INVALID_RECORD = "InvalidRecord"
    """A tensor is missing, or has the wrong shape or type."""
    DUPLICATE_KEY = "DuplicateKey"
    """Another record of the same shard has this key."""
    REJECTED_BY_MODEL = "RejectedByModel"
    """Triton refused this record alone (INVALID_ARGUMENT)."""
    INFERENCE_FAILED = "InferenceFailed"
    """The model failed on this record alone, after all retries."""
    RESULT_TOO_LARGE = "ResultTooLarge"
    """The model answered, and the topic of the results takes no message of that size."""
    POISON_MESSAGE = "PoisonMessage"
    """Each worker that held this record died or ran out of time; its message is in the dead-letter queue."""


class JobFailure(StrEnum):
    """Why a job ended without doing its work. Used as the reason of the condition `Succeeded=False`."""

    INPUT_INVALID = "InputInvalid"
    INPUT_NOT_FOUND = "InputNotFound"
    INPUT_EMPTY = "InputEmpty"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_INCOMPATIBLE = "ModelIncompatible"
    OUTPUT_WRITE_FAILED = "OutputWriteFailed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    ALL_RECORDS_FAILED = "AllRecordsFailed"
    CANCELLED = "Cancelled"
    QUEUEING_DEADLINE_EXCEEDED = "QueueingDeadlineExceeded"
    FAILURE_BUDGET_EXCEEDED = "FailureBudgetExceeded"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    """A retry rule with the action FailJob matched."""
    INPUT_CHANGED = "InputChanged"
    """A file is not what it was when the job was planned."""
