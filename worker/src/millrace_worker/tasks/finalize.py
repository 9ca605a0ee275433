"""Write the manifest of a job whose shards are all counted. To do so twice changes nothing."""

from millrace_contracts.ledger import Field
from millrace_contracts.results import Manifest
from millrace_contracts.tasks import FinalizeTask
from millrace_worker.clock import rfc3339
from millrace_worker.context import Context
from millrace_worker.logs import get_logger

log = get_logger(__name__)


def finalize(task: FinalizeTask, context: Context) -> None:
    """Write the manifest, then note in the ledger that the job is done."""
    spec, uid = task.spec, task.spec.job.uid
    fields = context.ledger.read(uid)
    if not context.ledger.needs_finalize(uid):
        log.info("finalize not needed", job=spec.job.name, uid=uid, state=fields.get(Field.STATE, "gone"))
        return
    destination = context.destination(spec)
    shards_total = int(fields[Field.SHARDS_TOTAL])
    manifest = Manifest(
        job=f"{spec.job.namespace}/{spec.job.name}",
        uid=uid,
        model=spec.model.name,
        model_version=fields.get(Field.MODEL_VERSION, ""),
        records={
            "total": int(fields[Field.TOTAL]),
            "succeeded": int(fields.get(Field.SUCCEEDED, "0")),
            "failed": int(fields.get(Field.FAILED, "0")),
        },
        parts=destination.part_names(shards_total),
        finished_at=rfc3339(float(fields.get(Field.LAST_SHARD_AT) or context.now())),
    )
    uri = destination.write_manifest(manifest, shards_total=shards_total)
    context.ledger.finalized(uid, manifest_uri=uri)
    log.info("job finalized", job=spec.job.name, uid=uid, manifest=uri, **manifest.records)
