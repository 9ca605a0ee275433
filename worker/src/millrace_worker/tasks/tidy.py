"""Remove the checkpoints of a job that nobody goes on with. To do so twice changes nothing.

Its results stay, and so does .millrace-job: by it the next job knows that the parts there are no stranger's.
"""

from millrace_contracts.tasks import TidyTask
from millrace_worker.context import Context
from millrace_worker.logs import get_logger
from millrace_worker.storage.destination import folder_at
from millrace_worker.storage.file_results import checkpoints_folder

log = get_logger(__name__)


def tidy(task: TidyTask, context: Context) -> None:
    """Remove the checkpoints, unless the job goes on after all."""
    job = task.job
    if context.ledger.is_active(job.uid):
        log.info("tidying not needed: the job goes on", job=job.name, uid=job.uid)
        return
    folder_at(task.output_uri, claims=context.claims).tidy((), gone=checkpoints_folder(job.uid))
    log.info("checkpoints removed", job=job.name, uid=job.uid, output=task.output_uri)
