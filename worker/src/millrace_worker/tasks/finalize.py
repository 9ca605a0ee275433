"""Write the manifest of a job whose shards are all counted. To do so twice changes nothing."""

from collections.abc import Mapping

from millrace_contracts.ledger import Field
from millrace_contracts.results import Manifest
from millrace_contracts.tasks import FinalizeTask, JobSpec
from millrace_worker.clock import rfc3339
from millrace_worker.context import Context
from millrace_worker.ledger import needs_finalize
from millrace_worker.logs import get_logger

log = get_logger(__name__)


def finalize(task: FinalizeTask, context: Context) -> None:
    """Write the manifest, then note in the ledger that the job is done."""
    spec, uid = task.spec, task.spec.job.uid
    fields = context.ledger.read(uid)
    if not needs_finalize(fields):
        log.info("finalize not needed", job=spec.job.name, uid=uid, state=fields.get(Field.STATE, "gone"))
        return
    manifest = _manifest(spec, fields, now=context.now())
    uri = context.destination(spec).write_manifest(manifest, parts=context.ledger.parts(uid))
    context.ledger.finalized(uid, manifest_uri=uri, redriven=int(fields.get(Field.REDRIVEN, "0")))
    log.info("job finalized", job=spec.job.name, uid=uid, manifest=uri, **manifest.records)


def _manifest(spec: JobSpec, fields: Mapping[str, str], *, now: float) -> Manifest:
    counters = {"total": Field.TOTAL, "succeeded": Field.SUCCEEDED, "failed": Field.FAILED, "cached": Field.CACHED}
    started_at = fields.get(Field.FIRST_SHARD_AT)
    return Manifest(
        job=f"{spec.job.namespace}/{spec.job.name}",
        uid=spec.job.uid,
        model=spec.model.name,
        model_version=fields.get(Field.MODEL_VERSION, ""),
        records={name: int(fields.get(counter, "0")) for name, counter in counters.items()},
        format=spec.writing.format,
        join=spec.writing.join,
        ordering=spec.writing.ordering,
        started_at=rfc3339(float(started_at)) if started_at else "",
        finished_at=rfc3339(float(fields.get(Field.LAST_SHARD_AT) or now)),
    )
