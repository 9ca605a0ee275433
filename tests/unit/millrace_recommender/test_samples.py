from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace_contracts.pipelines import PipelineSpec
from millrace_contracts.schedules import ScheduleEntry
from millrace_ingest.settings import Stream
from millrace_recommender import layout, tasks
from millrace_recommender.training import TRITON_CONFIG

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples" / "recommender"


def sample(name: str) -> Any:
    return yaml.safe_load((SAMPLES / name).read_text())


@pytest.fixture(scope="module")
def values() -> Any:
    return sample("values-recommender.yaml")


def test_the_stream_feeds_the_task_of_the_pool_that_has_it(values: Any) -> None:
    (stream,) = [Stream.model_validate({"group": "any", **entry}) for entry in values["streams"]]
    pools = {pool["name"]: pool for pool in values["workerPools"]}
    assert tasks.UPDATE == stream.task
    assert [tasks.__name__] == pools[stream.queue]["taskModules"]


def test_the_pipeline_names_functions_that_exist_and_a_pool_that_has_them(values: Any) -> None:
    (pipeline,) = values["pipelines"]
    tritons = pipeline["publish"]["tritons"]
    assert {"pool": layout.MODEL} == tritons
    # The chart writes the address of the pool's Tritons.
    spec = PipelineSpec.model_validate(
        {**pipeline, "publish": {**pipeline["publish"], "tritons": {"dns": "triton.example"}}}
    )
    paths = [spec.preprocess.function, spec.preprocess.shards or "", spec.train.function, spec.evaluate.function]
    for path in paths:
        module, _, name = path.rpartition(":")
        assert callable(getattr(import_module(module), name))
    assert spec.queue in {pool["name"] for pool in values["workerPools"]}


def test_the_schedule_retrains_at_two_in_berlin_and_scores_everybody_later(values: Any) -> None:
    retrain, write, score = [ScheduleEntry.model_validate(entry) for entry in values["beat"]["schedule"]]
    assert ("0 2 * * *", "Europe/Berlin") == (retrain.cron, retrain.time_zone)
    assert retrain.pipeline is not None
    assert values["pipelines"][0]["name"] == retrain.pipeline.name
    assert write.task is not None
    assert tasks.WRITE_ACTIVE_USERS == write.task.name
    assert score.job_template is not None
    assert sample("active-users-job.yaml")["spec"] == score.job_template.spec
    assert write.task.kwargs["path"] == score.job_template.spec["input"]["persistentVolumeClaim"]["path"]


def test_triton_is_told_of_the_tensors_that_the_task_sends() -> None:
    for name in (layout.ITEMS, layout.WEIGHTS, layout.ITEM_IDS, layout.SCORES):
        assert f'name: "{name}"' in TRITON_CONFIG


def test_the_generator_says_which_kafka_and_shows_no_password() -> None:
    (container,) = sample("activity-job.yaml")["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert "secretKeyRef" in environment["MILLRACE_KAFKA_SASL_PASSWORD"]["valueFrom"]
    assert "MILLRACE_KAFKA_BOOTSTRAP_SERVERS" in environment
