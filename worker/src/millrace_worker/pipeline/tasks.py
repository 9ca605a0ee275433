"""The tasks of pipelines and how they hang together.

    run_pipeline → prepare → chord( many shards → gather ) → train → evaluate → publish

`run_pipeline` is for the system pool, which knows the pipelines; all others are for the pool whose image has the team's
functions. How many shards there are is known only to `prepare`, which puts the chord in its own place.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from celery import chain, chord
from pydantic import TypeAdapter, ValidationError

from millrace_contracts import pipelines as contract
from millrace_contracts.payload import Payload
from millrace_contracts.pipelines import PipelineRun, PipelineSpec, RunPipeline, RunState, ShardStep, StepLost, StepTask
from millrace_contracts.tasks import RUN_PIPELINE
from millrace_worker import topology
from millrace_worker.context import Context
from millrace_worker.errors import BrokerUnavailable
from millrace_worker.logs import get_logger
from millrace_worker.pipeline import engine, steps
from millrace_worker.pipeline.errors import PipelineInvalid
from millrace_worker.pipeline.publication import publish
from millrace_worker.pipeline.runs import Begin, Runs
from millrace_worker.publishing import translated
from millrace_worker.redelivery import come_again, deliver, read_payload

HARD_LIMIT_AFTER_SECONDS: Final = 60
"""A step that does not end at its time limit, deep in a library, is killed this much later."""

log = get_logger(__name__)


def register_pipelines(app: Any, context: Context) -> None:
    """Make the tasks of pipelines known to the Celery app."""
    # Not shared: Celery would give these very functions, with this context, to every app of the process.
    options = {"bind": True, "max_retries": None, "ignore_result": True, "shared": False}

    @app.task(name=RUN_PIPELINE, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_pipeline(self: Any, payload: Any) -> None:
        task = read_payload(RunPipeline, payload)
        run_id = task.run_id or str(self.request.id).lower()
        about = {"pipeline": task.pipeline, "run": run_id}
        deliver(self, context, lambda: _run(app, context, task, run_id), about=about)

    @app.task(name=contract.PREPARE, **options)  # type: ignore[untyped-decorator] # celery has no types
    def prepare(self: Any, payload: Any) -> None:
        task = read_payload(StepTask, payload)
        answer = engine.carry_out(self, context, task, step="prepare", work=steps.prepare)
        try:
            with translated("publish the shards of a pipeline"):
                self.replace(_shards(app, task, answer["shards"]))
        except BrokerUnavailable as error:
            about = {"pipeline": task.spec.name, "run": task.run_id, "step": "prepare"}
            come_again(self, context, error, about=about)

    # A chord counts the results of its header.
    @app.task(name=contract.SHARD, **{**options, "ignore_result": False})  # type: ignore[untyped-decorator] # as above
    def shard(self: Any, payload: Any) -> Any:
        task = read_payload(ShardStep, payload)
        step = f"preprocess-{task.index:04d}"
        return engine.carry_out(self, context, task, step=step, work=steps.shard)

    for name, step, work in _LATER_STEPS:
        _register_step(app, context, {**options, "name": name}, step=step, work=work)

    @app.task(name=contract.FAILED, **options)  # type: ignore[untyped-decorator] # celery has no types
    def failed(self: Any, payload: Any) -> None:
        lost = read_payload(StepLost, payload)
        about = {"pipeline": lost.pipeline, "run": lost.run_id, "step": lost.step}
        deliver(self, context, lambda: _lost(context, lost), about=about)


_LATER_STEPS: Final = (
    (contract.GATHER, "gather", steps.gather),
    (contract.TRAIN, "train", steps.train),
    (contract.EVALUATE, "evaluate", steps.evaluate),
    (contract.PUBLISH, "publish", publish),
)


def _register_step(app: Any, context: Context, options: Mapping[str, Any], *, step: str, work: Any) -> None:
    @app.task(**options)  # type: ignore[untyped-decorator] # celery has no types
    def run_step(self: Any, before: Any, payload: Any) -> Any:
        task = read_payload(StepTask, payload)
        return engine.carry_out(self, context, task, step=step, work=lambda shop, attempt: work(shop, attempt, before))


def _run(app: Any, context: Context, task: RunPipeline, run_id: str) -> None:
    runs = Runs(context.redis, now=context.now, lease_seconds=context.settings.pipeline_lease_seconds)
    try:
        spec = find_pipeline(context.settings.pipelines_file, task.pipeline)
        _check_chords(app)
    except PipelineInvalid as error:
        log.error("pipeline cannot run", pipeline=task.pipeline, run=run_id, error=str(error))  # noqa: TRY400 - said whole
        runs.note(_end(task, run_id, RunState.FAILED, str(error), now=context.now()))
        return
    outcome, detail = runs.begin(spec, run_id, requested_by=task.requested_by)
    if outcome is Begin.OVER:
        log.info("run is not begun again", pipeline=spec.name, run=run_id, state=detail)
        return
    if outcome is Begin.BUSY:
        message = f"skipped: run {detail} of this pipeline has not ended"
        log.warning("run is skipped", pipeline=spec.name, run=run_id, running=detail)
        runs.note(_end(task, run_id, RunState.SKIPPED, message, now=context.now()))
        return
    _end_lost_runs(context, runs, spec, run_id)
    started_at = next(run.started_at for run in runs.read(spec.name) if run.run_id == run_id)
    parameters = {**spec.parameters, **task.parameters}
    context.publisher.ensure_queue(spec.queue)
    if spec.queue not in app.amqp.queues:
        app.amqp.queues.add(topology.work_queue(spec.queue, kind=context.settings.broker_kind))
    step = StepTask(spec=spec, run_id=run_id, started_at=started_at, parameters=parameters)
    with translated("publish the first step of a pipeline"):
        chain(
            _signature(app, contract.PREPARE, step, step="prepare", is_first=True),
            *(_signature(app, name, step, step=label) for name, label, _ in _LATER_STEPS[1:]),
        ).apply_async()
    log.info("pipeline begins", pipeline=spec.name, run=run_id, requested_by=task.requested_by)


def find_pipeline(file: Path | None, name: str) -> PipelineSpec:
    """Read the pipelines of the values anew, and answer one of them."""
    try:
        listed = json.loads(file.read_text(encoding="utf-8")) if file is not None else []
        pipelines = TypeAdapter(list[PipelineSpec]).validate_python(listed)
    except (OSError, ValueError) as error:
        problem = (
            "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise PipelineInvalid(f"MILLRACE_PIPELINES_FILE {file} cannot be read: {problem}") from error
    for pipeline in pipelines:
        if pipeline.name == name:
            return pipeline
    known = ", ".join(sorted(each.name for each in pipelines)) or "none"
    raise PipelineInvalid(f'there is no pipeline "{name}" (there are: {known}); add it to pipelines in the values')


def _check_chords(app: Any) -> None:
    try:
        app.backend.ensure_chords_allowed()
    except NotImplementedError as error:
        raise PipelineInvalid(
            "pipelines need a result backend that can join the shards of a chord, and this one cannot: choose any "
            "other than RPC, or none, in resultBackend"
        ) from error


def _end(task: RunPipeline, run_id: str, state: RunState, message: str, *, now: float) -> PipelineRun:
    """Describe a run that ends before it begins."""
    return PipelineRun(
        pipeline=task.pipeline,
        run_id=run_id,
        state=state,
        message=message,
        requested_by=task.requested_by,
        started_at=now,
        changed_at=now,
    )


def _end_lost_runs(context: Context, runs: Runs, spec: PipelineSpec, run_id: str) -> None:
    """Close the books of runs whose messages were lost: this one could begin only because their time was over."""
    for run in runs.read(spec.name):
        if run.state is RunState.RUNNING and run.run_id != run_id:
            message = f"{run.step or 'prepare'} was lost or waited in its queue for too long; another run began"
            engine.end_as_failed(context, pipeline=spec.name, model=spec.model, run_id=run.run_id, message=message)


def _lost(context: Context, lost: StepLost) -> None:
    message = f"{lost.step} was killed at its hard time limit, or Celery could not finish it; see the workers' logs"
    log.error("pipeline failed", pipeline=lost.pipeline, run=lost.run_id, step=lost.step, message=message)
    engine.end_as_failed(context, pipeline=lost.pipeline, model=lost.model, run_id=lost.run_id, message=message)


def _shards(app: Any, task: StepTask, keys: Sequence[str]) -> Any:
    common = task.model_dump()
    header = [
        _signature(app, contract.SHARD, ShardStep(**common, index=index, key=key), step="preprocess", is_first=True)
        for index, key in enumerate(keys)
    ]
    return chord(header, _signature(app, contract.GATHER, task, step="gather"), app=app)


def _signature(app: Any, name: str, task: StepTask, *, step: str, is_first: bool = False) -> Any:
    spec = task.spec
    seconds = spec.step_timeout_seconds
    if name == contract.PUBLISH:
        # To load, and to take it back again.
        seconds += 2 * spec.publish.load_timeout_seconds
    lost = StepLost(pipeline=spec.name, model=spec.model, run_id=task.run_id, step=step)
    limits = {"soft_time_limit": seconds, "time_limit": seconds + HARD_LIMIT_AFTER_SECONDS}
    signature = _plain(app, name, task, queue=spec.queue, is_immutable=is_first, **limits)
    signature.link_error(_plain(app, contract.FAILED, lost, queue=spec.queue, is_immutable=True))
    return signature


def _plain(app: Any, name: str, payload: Payload, *, queue: str, is_immutable: bool, **options: Any) -> Any:
    return app.signature(
        name,
        kwargs={"payload": payload.model_dump(mode="json")},
        immutable=is_immutable,
        options={"queue": queue, **options},
    )
