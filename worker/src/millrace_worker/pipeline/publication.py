"""Put a version before its users, or take it back: so that it comes to the same end wherever it is interrupted.

What is to be done is written down before anything is touched: which version, what served before it, and the
configuration of that time. From then on each step can be done again: a folder that is there stays, a Triton that has
loaded loads nothing, and what was begun to be taken back is taken back.
"""

from collections.abc import Mapping
from typing import Any, Final

from billiard.exceptions import SoftTimeLimitExceeded
from pydantic import BaseModel, ConfigDict

from millrace_contracts.models import ModelVersion, VersionState
from millrace_contracts.pipelines import RunState
from millrace_worker.errors import Unavailable
from millrace_worker.logs import get_logger
from millrace_worker.pipeline.errors import StepFailed, is_stop
from millrace_worker.pipeline.judgement import judge
from millrace_worker.pipeline.repository import CONFIG, CONTENT
from millrace_worker.pipeline.steps import Answer, Workshop
from millrace_worker.pipeline.tritons import Deadline, Loaded, TritonFleet

NONE_RUNS: Final = "no Triton runs now; the next that starts loads it"

log = get_logger(__name__)


class Plan(BaseModel):
    """What one publication does."""

    model_config = ConfigDict(frozen=True)

    version: int
    previous: str
    """What served when it began; "" for a model's first version."""
    config: str
    previous_config: str | None
    withdrawn_because: str = ""
    """Set before anything is taken back: after that there is no way forward."""


def publish(shop: Workshop, attempt: str, evaluated: Mapping[str, Any]) -> Answer:
    """Publish the new version if it is good enough, and write down what became of it."""
    del attempt
    return Publication(shop, evaluated).carry_out()


class Publication:
    """The publication of one run."""

    def __init__(self, shop: Workshop, evaluated: Mapping[str, Any]) -> None:
        self._shop = shop
        self._evaluated = evaluated
        self._repository = shop.repository
        self._fleet = TritonFleet(shop.spec.publish.tritons)

    def carry_out(self) -> Answer:
        """Do all of it, or the rest of it."""
        evaluated, spec = self._evaluated, self._shop.spec
        verdict = judge(
            evaluated["metrics"],
            evaluated["baseline"],
            spec.evaluate,
            serving=evaluated["serving"],
            note=evaluated["note"],
        )
        if not verdict.is_accepted:
            version = f"run-{self._shop.task.run_id}"
            self._record(version, VersionState.REFUSED, verdict.message)
            return self._end(RunState.REFUSED, verdict.message)
        plan = self._plan()
        if plan.withdrawn_because:
            return self._withdraw(plan)
        try:
            loaded = self._bring_in(plan)
        except Unavailable:
            raise
        except SoftTimeLimitExceeded:
            return self._withdraw(self._turned(plan, "the publication took longer than its time limit"))
        except Exception as error:
            if is_stop(error):
                # Another worker goes on where this one stops.
                raise
            if not isinstance(error, StepFailed):
                log.exception("publication failed unexpectedly; the version is taken back", model=spec.model)
            return self._withdraw(self._turned(plan, str(error) or type(error).__name__))
        return self._begin_to_serve(plan, loaded, verdict.message)

    def _plan(self) -> Plan:
        file = f"{self._shop.folder('publish')}/plan.json"
        if (text := self._shop.artifacts.read_text(file)) is not None:
            return Plan.model_validate_json(text)
        model, previous = self._shop.spec.model, self._evaluated["serving"]
        now_serving = self._shop.serving()
        if now_serving != previous:
            raise StepFailed(
                f"version {now_serving or 'none'} began to serve after this one was compared with "
                f"{previous or 'none'}; run the pipeline again"
            )
        previous_config = self._repository.config(model)
        plan = Plan(
            version=self._next_version(),
            previous=previous,
            config=self._config() or previous_config or "",
            previous_config=previous_config,
        )
        self._shop.artifacts.write_text(file, plan.model_dump_json())
        self._record(str(plan.version), VersionState.PUBLISHING, "it is loaded by every Triton")
        return plan

    def _config(self) -> str | None:
        return self._shop.artifacts.read_text(f"{self._evaluated['trained']}/{CONFIG}")

    def _next_version(self) -> int:
        # One that was rolled back is counted too: a number never means two models.
        known = [each.version for each in self._shop.registry.versions(self._shop.spec.model)]
        numbers = [int(version) for version in known if version.isdecimal()]
        return max([0, *numbers, *self._repository.versions(self._shop.spec.model)]) + 1

    def _bring_in(self, plan: Plan) -> Loaded:
        model = self._shop.spec.model
        with self._shop.artifacts.fetch(self._evaluated["trained"]) as folder:
            self._repository.put(model, plan.version, folder / CONTENT, config=plan.config)
        deadline = Deadline(self._shop.spec.publish.load_timeout_seconds)
        loaded = self._fleet.load_everywhere(model, str(plan.version), deadline)
        log.info("version loaded", model=model, version=plan.version, tritons=loaded.addresses)
        return loaded

    def _begin_to_serve(self, plan: Plan, loaded: Loaded, why: str) -> Answer:
        spec, version = self._shop.spec, str(plan.version)
        count = len(loaded.addresses)
        where = f"served by {count} Triton{'s' if count > 1 else ''}" if count else NONE_RUNS
        message = "; ".join(
            [why, where, *(f"{silence}: it loads the version when it starts" for silence in loaded.silent)]
        )
        if plan.previous and plan.previous != version:
            left = self._fleet.still_serving(spec.model, plan.previous, loaded.addresses)
            if left:
                message += f"; version {plan.previous} is still served by {', '.join(left)}: a policy may keep it"
        self._shop.registry.begin_to_serve(self._version(version, VersionState.SERVING, message))
        removed = self._repository.keep_only(spec.model, spec.publish.keep_versions, also=[version])
        if removed:
            log.info("old versions removed", model=spec.model, versions=removed)
        return self._end(RunState.PUBLISHED, f"version {version} serves: {message}", version=version)

    def _turned(self, plan: Plan, reason: str) -> Plan:
        turned = plan.model_copy(update={"withdrawn_because": reason})
        self._shop.artifacts.write_text(f"{self._shop.folder('publish')}/plan.json", turned.model_dump_json())
        return turned

    def _withdraw(self, plan: Plan) -> Answer:
        model = self._shop.spec.model
        log.warning("version is taken back", model=model, version=plan.version, reason=plan.withdrawn_because)
        # First of all the folder, so that a Triton that starts now loads what served before.
        self._repository.withdraw(model, plan.version, config=plan.previous_config)
        deadline = Deadline(self._shop.spec.publish.load_timeout_seconds)
        troubles = self._fleet.restore_everywhere(model, plan.previous, deadline)
        serves = f"version {plan.previous} serves" if plan.previous else "the model is not served"
        message = f"{plan.withdrawn_because}; {serves}"
        if troubles:
            message += f", but {'; '.join(troubles)}"
        self._record(str(plan.version), VersionState.ROLLED_BACK, message)
        return self._end(RunState.ROLLED_BACK, message)

    def _end(self, state: RunState, message: str, *, version: str = "") -> Answer:
        task = self._shop.task
        self._shop.runs.finish(task.spec.name, task.run_id, state, message=message, version=version)
        log.info("pipeline ended", pipeline=task.spec.name, run=task.run_id, state=state.value, message=message)
        return {"state": state.value, "version": version}

    def _record(self, version: str, state: VersionState, message: str) -> None:
        self._shop.registry.record(self._version(version, state, message))

    def _version(self, version: str, state: VersionState, message: str) -> ModelVersion:
        task, now = self._shop.task, self._shop.context.now()
        return ModelVersion(
            model=task.spec.model,
            version=version,
            state=state,
            pipeline=task.spec.name,
            run_id=task.run_id,
            metric=task.spec.evaluate.metric,
            metrics=self._evaluated["metrics"],
            baseline=self._evaluated["baseline"],
            message=message,
            created_at=now,
            changed_at=now,
        )
