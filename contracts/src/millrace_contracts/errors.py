"""Why a record or a job failed: the codes that results, ledger, status and metrics share."""

from enum import StrEnum


class RecordError(StrEnum):
    """Why one record has no prediction. Each failed record has exactly one of these."""

    MALFORMED_JSON = "MalformedJSON"
    """The line is not a JSON object."""
    INVALID_RECORD = "InvalidRecord"
    """A tensor is missing, or has the wrong shape or type."""
    DUPLICATE_KEY = "DuplicateKey"
    """Another record of the same shard has this key."""
    REJECTED_BY_MODEL = "RejectedByModel"
    """Triton refused this record alone (INVALID_ARGUMENT)."""
    INFERENCE_FAILED = "InferenceFailed"
    """The model failed on this record alone, after all retries."""
    WORKER_LOST = "WorkerLost"
    """The worker died each time it held this record's shard."""


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
