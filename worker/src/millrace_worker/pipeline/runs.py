"""The runs of pipelines in Redis: one at a time of each, one worker at a time on each step, and what became of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import uuid4

import redis

from millrace_contracts import pipelines as contract
from millrace_contracts.pipelines import PipelineRun, PipelineSpec, RunState, StepTask
from millrace_worker.errors import LedgerUnavailable
from millrace_worker.logs import get_logger
from millrace_worker.registry import redis_answers

QUEUE_SECONDS: Final = 900.0
"""How long a run's next step may wait in its queue before another run may begin: then this one counts as lost."""
MAX_STARTS: Final = 3
"""How often a step may begin without an end: a step that ends its worker does so each time."""

log = get_logger(__name__)


class Begin(StrEnum):
    """Answers of the scripts that begin something."""

    BEGUN = "Begun"
    RESUMED = "Resumed"
    OVER = "Over"
    BUSY = "Busy"
    HELD = "Held"
    DISPLACED = "Displaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStart:
    """Whether a step may be worked on, and by whom it is held if not."""

    outcome: Begin
    token: str
    starts: int = 0
    held_seconds: float = 0.0


class Runs:
    """All runs of all pipelines."""

    def __init__(self, client: redis.Redis, *, now: Callable[[], float], lease_seconds: float) -> None:
        self._client = client
        self._now = now
        self.lease_seconds = lease_seconds
        self._begin_run = client.register_script(contract.BEGIN_RUN)
        self._begin_step = client.register_script(contract.BEGIN_STEP)
        self._renew_step = client.register_script(contract.RENEW_STEP)
        self._end_step = client.register_script(contract.END_STEP)
        self._finish_run = client.register_script(contract.FINISH_RUN)

    def begin(self, spec: PipelineSpec, run_id: str, *, requested_by: str) -> tuple[Begin, str]:
        """Begin a run, or go on with it; answers who is in the way otherwise."""
        name = spec.name
        keys = [contract.running_key(name), contract.run_key(name, run_id), contract.runs_key(name)]
        limits = [contract.RUN_RETENTION_SECONDS, contract.RUNS_KEPT]
        with redis_answers():
            self._client.sadd(contract.PIPELINES_KEY, name)
            arguments: list[Any] = [run_id, _run_lease(spec), self._time(), name, spec.model, requested_by, *limits]
            outcome, detail = self._begin_run(keys=keys, args=arguments)
        return Begin(outcome), str(detail)

    def note(self, run: PipelineRun) -> None:
        """Remember a run that never began, unless it is known."""
        key = contract.run_key(run.pipeline, run.run_id)
        with redis_answers():
            if self._client.exists(key):
                return
            pipeline = self._client.pipeline(transaction=True)
            fields: dict[Any, Any] = run.model_dump(mode="json")
            pipeline.hset(key, mapping=fields)
            pipeline.expire(key, contract.RUN_RETENTION_SECONDS)
            pipeline.lpush(contract.runs_key(run.pipeline), run.run_id)
            pipeline.ltrim(contract.runs_key(run.pipeline), 0, contract.RUNS_KEPT - 1)
            pipeline.sadd(contract.PIPELINES_KEY, run.pipeline)
            pipeline.execute()

    def read(self, pipeline: str) -> list[PipelineRun]:
        """Answer the last runs, the newest first."""
        with redis_answers():
            ids: list[str] = self._client.lrange(contract.runs_key(pipeline), 0, -1)  # type: ignore[assignment] # sync client
            stored: list[Any] = [self._client.hgetall(contract.run_key(pipeline, run_id)) for run_id in ids]
        return [PipelineRun.model_validate(fields) for fields in stored if fields]

    def is_running(self, pipeline: str, run_id: str) -> bool:
        """Say whether the run began and has not ended."""
        with redis_answers():
            return self._client.hget(contract.run_key(pipeline, run_id), "state") == RunState.RUNNING.value

    def finish(self, pipeline: str, run_id: str, state: RunState, *, message: str, version: str = "") -> bool:
        """Write the end of a run and let the next one begin; False when it had ended before."""
        keys = [contract.running_key(pipeline), contract.run_key(pipeline, run_id)]
        with redis_answers():
            return bool(self._finish_run(keys=keys, args=[run_id, state.value, message, version, self._time()]))

    def begin_step(self, task: StepTask, step: str) -> StepStart:
        """Take a step, unless the run is over or somebody has it."""
        name, run_id, token = task.spec.name, task.run_id, uuid4().hex
        keys = [contract.running_key(name), contract.run_key(name, run_id)]
        keys += [contract.lease_key(name, run_id, step), contract.starts_key(name, run_id)]
        leases = [round(self.lease_seconds * 1000), _run_lease(task.spec)]
        with redis_answers():
            arguments: list[Any] = [run_id, step, token, *leases, self._time(), contract.RUN_RETENTION_SECONDS]
            outcome, number = self._begin_step(keys=keys, args=arguments)
        if outcome == Begin.HELD:
            return StepStart(outcome=Begin.HELD, token=token, held_seconds=max(0, int(number)) / 1000)
        return StepStart(outcome=Begin(outcome), token=token, starts=int(number))

    @contextmanager
    def kept(self, task: StepTask, step: str, token: str) -> Iterator[None]:
        """Keep the step's lease while the block runs, and give it back however it ends."""
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(task, step, token, over), daemon=True)
        keeper.start()
        has_ended = True
        try:
            yield
        except SystemExit:
            has_ended = False
            raise
        finally:
            over.set()
            keeper.join()
            self._end(task, step, token, has_ended=has_ended)

    def _keep(self, task: StepTask, step: str, token: str, over: threading.Event) -> None:
        name, run_id = task.spec.name, task.run_id
        keys = [contract.running_key(name), contract.lease_key(name, run_id, step)]
        arguments: list[Any] = [run_id, token, round(self.lease_seconds * 1000), _run_lease(task.spec)]
        while not over.wait(self.lease_seconds / 3):
            try:
                with redis_answers():
                    self._renew_step(keys=keys, args=arguments)
            except LedgerUnavailable as error:
                # What this worker makes counts only once, so at worst the step is done twice.
                log.warning("lease of a step not renewed", pipeline=name, run=run_id, step=step, error=str(error))

    def _end(self, task: StepTask, step: str, token: str, *, has_ended: bool) -> None:
        name, run_id = task.spec.name, task.run_id
        keys = [contract.lease_key(name, run_id, step), contract.starts_key(name, run_id)]
        try:
            with redis_answers():
                self._end_step(keys=keys, args=[step, token, int(has_ended)])
        except LedgerUnavailable as error:
            log.warning("lease of a step expires by itself", pipeline=name, run=run_id, step=step, error=str(error))

    def _time(self) -> str:
        return f"{self._now():.3f}"


def _run_lease(spec: PipelineSpec) -> int:
    longest = spec.step_timeout_seconds + 2 * spec.publish.load_timeout_seconds
    return round((longest + QUEUE_SECONDS) * 1000)
