"""Pipelines: how a model is made and published, the messages of a run, and what Redis keeps of it.

Whoever writes values uses camelCase, messages use snake_case; both are understood. A message carries references to
artefacts, never data.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from millrace_contracts.payload import Payload

PREPARE: Final = "millrace.pipeline.prepare"
SHARD: Final = "millrace.pipeline.shard"
GATHER: Final = "millrace.pipeline.gather"
TRAIN: Final = "millrace.pipeline.train"
EVALUATE: Final = "millrace.pipeline.evaluate"
PUBLISH: Final = "millrace.pipeline.publish"
FAILED: Final = "millrace.pipeline.failed"
"""Sent by Celery itself when a step ended in a way that the step could not report."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
RunId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,128}$")]
FunctionPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*[.:][A-Za-z_]\w*$", max_length=255)]
"""`package.module.function` or `package.module:function`, importable by the workers of the pool."""
Location = Annotated[
    str,
    StringConstraints(
        pattern=r"^(claim:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[^/].*|s3://[a-z0-9][-a-z0-9.]+(/.*)?)$", max_length=1024
    ),
]
"""`claim:<claim>/<folder>` on a volume that the workers mount, or `s3://<bucket>/<prefix>`."""


class _Part(Payload):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Preprocess(_Part):
    """Make features, one shard after the other or many at once."""

    function: FunctionPath
    """Called with the shard's key and a StepContext."""
    shards: FunctionPath | None = None
    """Called with a StepContext; answers the keys of the shards. Without it there is one shard, "all"."""


class Train(_Part):
    """Make a model of the features."""

    function: FunctionPath


class Evaluate(_Part):
    """Measure the new version, and the one that serves, on the same data."""

    function: FunctionPath
    """Called with a StepContext for each of the two; answers metrics by name."""
    metric: str = Field(min_length=1, max_length=64)
    """The metric that decides."""
    higher_is_better: bool = True
    minimum_improvement: float = Field(default=0.0, allow_inf_nan=False)
    """How much better than the serving version a new one must be; 0 refuses only a worse one."""
    compare_with_serving: bool = True
    """False publishes without a comparison, for a change that the serving version cannot be measured on."""


class Tritons(_Part):
    """Every Triton that serves the model: each is told to load the new version."""

    dns: str = Field(default="", max_length=253)
    """A name with one address for each Triton, such as a headless Service."""
    port: int = Field(default=8001, ge=1, le=65_535)
    urls: tuple[str, ...] = Field(default=(), max_length=64)
    """host:port of each, instead of dns."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.dns) == bool(self.urls):
            raise ValueError("give exactly one of tritons.dns and tritons.urls")
        return self


class Publish(_Part):
    """Put the new version before those who ask."""

    repository: Location
    """The model repository that the Tritons read."""
    tritons: Tritons
    keep_versions: int = Field(default=2, ge=1, le=100)
    """Version folders that stay in the repository."""
    load_timeout_seconds: int = Field(default=120, ge=1, le=3600)
    """How long all Tritons together may take to load the new version; after that it is taken back."""


class PipelineSpec(_Part):
    """One pipeline, as the values describe it."""

    name: Name
    model: ModelName
    queue: str = Field(min_length=1, max_length=255)
    """The queue of the pool whose workers have the functions and the volumes."""
    preprocess: Preprocess
    train: Train
    evaluate: Evaluate
    publish: Publish
    artifacts: Location
    """Where steps leave what they made."""
    step_timeout_seconds: int = Field(default=600, ge=1, le=86_400)
    """A step that takes longer fails."""
    keep_runs: int = Field(default=5, ge=1, le=50)
    """Runs whose artefacts are kept."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Handed to every function; a run may replace single ones."""

    @model_validator(mode="after")
    def _artifacts_are_no_models(self) -> Self:
        if f"{self.artifacts.rstrip('/')}/".startswith(f"{self.publish.repository.rstrip('/')}/"):
            raise ValueError(
                "artifacts must not lie in publish.repository: Triton takes every folder there for a model"
            )
        return self


class RunPipeline(Payload):
    """Run a pipeline once. The same run id twice is one run."""

    pipeline: Name
    run_id: RunId | None = None
    """None takes the id of the task."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    requested_by: str = Field(default="", max_length=255)
    """For people: a schedule, a user."""


class StepTask(Payload):
    """One step of one run."""

    spec: PipelineSpec
    run_id: RunId
    started_at: float
    """Of the run, in seconds since the epoch."""
    parameters: dict[str, Any]


class ShardStep(StepTask):
    """Preprocess one shard."""

    index: int = Field(ge=0)
    key: str


class StepLost(Payload):
    """A step that ended without a word: killed at its hard time limit, or lost by Celery."""

    pipeline: Name
    model: ModelName
    run_id: RunId
    step: str


class RunState(StrEnum):
    """What became of a run."""

    RUNNING = "Running"
    PUBLISHED = "Published"
    REFUSED = "Refused"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    """Another run of the same pipeline was at work."""


class PipelineRun(BaseModel):
    """One run, as Redis keeps it: the fields of a hash under `run_key`."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    run_id: str
    model: str = ""
    state: RunState
    step: str = ""
    """The step that began last."""
    version: str = ""
    """The version that it published."""
    message: str = ""
    requested_by: str = ""
    started_at: float
    changed_at: float


PIPELINES_KEY: Final = "millrace:pipelines"
"""Redis set of the names of all pipelines that ever ran."""
RUNS_KEPT: Final = 50
RUN_RETENTION_SECONDS: Final = 30 * 86_400


def runs_key(pipeline: str) -> str:
    """Redis list: ids of the last runs, the newest first."""
    return f"millrace:pipeline:{{{pipeline}}}:runs"


def running_key(pipeline: str) -> str:
    """Redis string: the run that is at work; expires when that run was lost."""
    return f"millrace:pipeline:{{{pipeline}}}:running"


def run_key(pipeline: str, run_id: str) -> str:
    """Redis hash: the fields of a PipelineRun."""
    return f"millrace:pipeline:{{{pipeline}}}:run:{run_id}"


def starts_key(pipeline: str, run_id: str) -> str:
    """Redis hash: how often each step was begun without an end."""
    return f"{run_key(pipeline, run_id)}:starts"


def lease_key(pipeline: str, run_id: str, step: str) -> str:
    """Redis string: who works on a step now; kept alive while he does."""
    return f"{run_key(pipeline, run_id)}:lease:{step}"


BEGIN_RUN: Final = """
local state = redis.call('HGET', KEYS[2], 'state')
if state and state ~= 'Running' then return {'Over', state} end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'Busy', holder} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if state then return {'Resumed', ''} end
redis.call('HSET', KEYS[2], 'pipeline', ARGV[4], 'run_id', ARGV[1], 'model', ARGV[5], 'state', 'Running',
  'requested_by', ARGV[6], 'started_at', ARGV[3], 'changed_at', ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[7])
redis.call('LPUSH', KEYS[3], ARGV[1])
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[8]) - 1)
return {'Begun', ''}
"""
"""KEYS running, run, runs; ARGV run id, lease in ms, now, pipeline, model, requested by, retention, runs kept."""

BEGIN_STEP: Final = """
if redis.call('HGET', KEYS[2], 'state') ~= 'Running' then return {'Over', 0} end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'Displaced', 0} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[5])
if not redis.call('SET', KEYS[3], ARGV[3], 'NX', 'PX', ARGV[4]) then
  return {'Held', redis.call('PTTL', KEYS[3])}
end
redis.call('HSET', KEYS[2], 'step', ARGV[2], 'changed_at', ARGV[6])
local starts = redis.call('HINCRBY', KEYS[4], ARGV[2], 1)
redis.call('EXPIRE', KEYS[4], ARGV[7])
return {'Begun', starts}
"""
"""KEYS running, run, lease, starts; ARGV run id, step, token, step's lease in ms, run's lease in ms, now, retention."""

RENEW_STEP: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
"""
"""KEYS running, lease; ARGV run id, token, step's lease in ms, run's lease in ms."""

END_STEP: Final = """
if redis.call('GET', KEYS[1]) == ARGV[2] then redis.call('DEL', KEYS[1]) end
if ARGV[3] == '1' then redis.call('HINCRBY', KEYS[2], ARGV[1], -1) end
return 1
"""
"""KEYS lease, starts; ARGV step, token, 1 if the step ended. Those that died with their worker add up."""

FINISH_RUN: Final = """
if redis.call('HGET', KEYS[2], 'state') ~= 'Running' then return 0 end
redis.call('HSET', KEYS[2], 'state', ARGV[2], 'message', ARGV[3], 'version', ARGV[4], 'changed_at', ARGV[5])
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
"""KEYS running, run; ARGV run id, state, message, version, now."""
