"""The work of each step: lend folders to a team's functions, and answer references to what they left there.

An answer is what the next step's message carries and what is kept as the step's mark, so it is small.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from billiard.exceptions import SoftTimeLimitExceeded

from millrace_contracts.pipelines import PipelineSpec, ShardStep, StepTask
from millrace_worker.context import Context
from millrace_worker.logs import get_logger
from millrace_worker.pipeline import functions
from millrace_worker.pipeline.errors import StepFailed
from millrace_worker.pipeline.judgement import read_metrics
from millrace_worker.pipeline.repository import CONFIG, CONTENT, ModelRepository
from millrace_worker.pipeline.runs import Runs
from millrace_worker.pipeline.step_context import StepContext
from millrace_worker.pipeline.storage import Place, open_place
from millrace_worker.registry import Registry

MAX_SHARDS: Final = 1000
MAX_KEY_LENGTH: Final = 512
ONE_SHARD: Final = "all"

Answer = dict[str, Any]
log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What the steps of one run work with."""

    task: StepTask
    context: Context
    artifacts: Place
    runs: Runs
    registry: Registry

    @classmethod
    def open(cls, task: StepTask, context: Context) -> "Workshop":
        """Open the store of artefacts and the state of pipelines."""
        return cls(
            task=task,
            context=context,
            artifacts=open_place(task.spec.artifacts, context.claims),
            runs=Runs(context.redis, now=context.now, lease_seconds=context.settings.pipeline_lease_seconds),
            registry=Registry(context.redis, now=context.now),
        )

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline."""
        return self.task.spec

    @property
    def repository(self) -> ModelRepository:
        """The model repository that the Tritons read."""
        return ModelRepository(open_place(self.spec.publish.repository, self.context.claims))

    def folder(self, step: str) -> str:
        """Name the folder of a step's artefacts."""
        return f"{self.spec.name}/{self.task.run_id}/{step}"

    def serving(self) -> str:
        """Answer the version that serves: the registry's, or else the newest folder, which Triton takes by itself."""
        known = self.registry.serving(self.spec.model)
        if known:
            return known
        found = self.repository.versions(self.spec.model)
        return str(found[-1]) if found else ""

    def call(self, function: str, *arguments: Any, step: str, output: Path, **more: Any) -> Any:
        """Call a team's function."""
        context = StepContext(
            pipeline=self.spec.name,
            model=self.spec.model,
            run_id=self.task.run_id,
            step=step,
            started_at=self.task.started_at,
            parameters=self.task.parameters,
            output=output,
            redis=self.context.redis,
            log=get_logger(function).bind(pipeline=self.spec.name, run=self.task.run_id, step=step),
            **more,
        )
        return functions.find(function)(*arguments, context)


Work = Callable[[Workshop, str], Answer]
"""Gets the folder of this attempt; answers what the next step needs."""


def prepare(shop: Workshop, attempt: str) -> Answer:
    """List the shards, and see that every function is there."""
    functions.check_all(shop.spec)
    _remove_old_runs(shop)
    listing = shop.spec.preprocess.shards
    if listing is None:
        return {"shards": [ONE_SHARD]}
    with shop.artifacts.fill(attempt) as output:
        keys = shop.call(listing, step="prepare", output=output)
    return {"shards": _checked_keys(keys)}


def shard(shop: Workshop, attempt: str) -> Answer:
    """Preprocess one shard."""
    task = shop.task
    if not isinstance(task, ShardStep):
        raise TypeError("a shard's message has an index and a key")
    with shop.artifacts.fill(attempt) as output:
        shop.call(shop.spec.preprocess.function, task.key, step="preprocess", output=output)
    return {"index": task.index, "key": task.key, "folder": attempt}


def gather(shop: Workshop, attempt: str, shards: Any) -> Answer:
    """Write down where all the shards are, so that later messages need not."""
    found = sorted([shards] if isinstance(shards, Mapping) else shards, key=lambda each: int(each["index"]))
    manifest = f"{attempt}/shards.json"
    shop.artifacts.write_text(manifest, json.dumps({each["key"]: each["folder"] for each in found}))
    return {"shards": manifest}


def train(shop: Workshop, attempt: str, gathered: Mapping[str, Any]) -> Answer:
    """Make a model of all shards."""
    with _shards(shop, gathered["shards"]) as inputs, shop.artifacts.fill(attempt) as output:
        shop.call(shop.spec.train.function, step="train", output=output, inputs=inputs)
        content = output / CONTENT
        if not content.is_dir() or not any(content.iterdir()):
            raise StepFailed(
                f'train left nothing in "{CONTENT}" of its output: write the files of the version folder into '
                f'context.output / "{CONTENT}"'
            )
        if not (output / CONFIG).is_file() and shop.repository.config(shop.spec.model) is None:
            raise StepFailed(
                f'model "{shop.spec.model}" has no {CONFIG} yet: write it to context.output / "{CONFIG}" in train'
            )
    return {"trained": attempt, "shards": gathered["shards"]}


def evaluate(shop: Workshop, attempt: str, trained: Mapping[str, Any]) -> Answer:
    """Measure the new version and the one that serves on the same data."""
    rule, serving = shop.spec.evaluate, shop.serving()
    baseline: dict[str, float] = {}
    note = ""
    with _shards(shop, trained["shards"]) as inputs, shop.artifacts.fill(attempt) as output:

        def measure(model_folder: Path, *, is_candidate: bool) -> dict[str, float]:
            whose = "the new version" if is_candidate else f"version {serving}, which serves"
            own = output / ("candidate" if is_candidate else "serving")
            own.mkdir()
            more = {"inputs": inputs, "model_folder": model_folder, "is_candidate": is_candidate}
            try:
                answer = shop.call(rule.function, step="evaluate", output=own, **more)
            except SoftTimeLimitExceeded:
                raise
            except Exception as error:
                if is_candidate:
                    raise
                # Else whoever reads it would look for the mistake in the new version.
                raise StepFailed(
                    f"evaluate failed for {whose}: {type(error).__name__}: {error}; if that version cannot be measured "
                    "any more, run once with evaluate.compareWithServing: false"
                ) from error
            return read_metrics(answer, rule, whose=whose)

        with shop.artifacts.fetch(trained["trained"]) as folder:
            metrics = measure(folder / CONTENT, is_candidate=True)
        if serving and not rule.compare_with_serving:
            note = f"it is not compared with version {serving}, as compareWithServing is false"
        elif serving and int(serving) not in shop.repository.versions(shop.spec.model):
            note = f"version {serving}, which serves, has no folder in the repository any more to compare with"
        elif serving:
            with shop.repository.fetch(shop.spec.model, serving) as folder:
                baseline = measure(folder, is_candidate=False)
    answer: Answer = {"trained": trained["trained"], "metrics": metrics, "baseline": baseline}
    return {**answer, "serving": serving, "note": note}


def _checked_keys(keys: Any) -> list[str]:
    if not isinstance(keys, list) or not all(isinstance(key, str) and 0 < len(key) <= MAX_KEY_LENGTH for key in keys):
        raise StepFailed(f"preprocess.shards must answer a list of texts of at most {MAX_KEY_LENGTH} characters")
    if not 0 < len(keys) <= MAX_SHARDS or len(set(keys)) < len(keys):
        raise StepFailed(f"preprocess.shards must answer 1 to {MAX_SHARDS} different keys; it answered {len(keys)}")
    return keys


def _remove_old_runs(shop: Workshop) -> None:
    recent = [run.run_id for run in shop.runs.read(shop.spec.name)][: shop.spec.keep_runs]
    for run_id in shop.artifacts.names(shop.spec.name):
        if run_id not in recent and run_id != shop.task.run_id:
            shop.artifacts.remove(f"{shop.spec.name}/{run_id}")
            log.info("artefacts of an old run removed", pipeline=shop.spec.name, run=run_id)


@contextmanager
def _shards(shop: Workshop, manifest: str) -> Iterator[Mapping[str, Path]]:
    text = shop.artifacts.read_text(manifest)
    if text is None:
        raise StepFailed(f'there is no "{manifest}" in {shop.artifacts.uri}; was it removed by hand?')
    with ExitStack() as stack:
        yield {key: stack.enter_context(shop.artifacts.fetch(folder)) for key, folder in json.loads(text).items()}
