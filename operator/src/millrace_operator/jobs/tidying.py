"""Decide whether a job that nobody goes on with has left something beside its results. Pure."""

from typing import Final

from millrace_contracts.tasks import JobRef, TidyTask

_WITH_FILES: Final = ("pvc://", "s3://")


def tidying(job: JobRef, output_uri: str) -> TidyTask | None:
    """Say what is to be removed; only among files there are checkpoints, and none before the job was planned."""
    return TidyTask(job=job, output_uri=output_uri) if output_uri.startswith(_WITH_FILES) else None
