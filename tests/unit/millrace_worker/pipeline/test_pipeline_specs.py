"""What a pipeline in the values may say, and how it is found."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from millrace_contracts.pipelines import PipelineSpec
from millrace_worker.pipeline import functions
from millrace_worker.pipeline.errors import PipelineInvalid, StepFailed
from millrace_worker.pipeline.tasks import find_pipeline


def values(**more: Any) -> dict[str, Any]:
    return {
        "name": "nightly",
        "model": "clicks",
        "queue": "features",
        "preprocess": {"function": "team.features.make"},
        "train": {"function": "team.train:fit"},
        "evaluate": {"function": "team.train.score", "metric": "hit_rate", "higherIsBetter": True},
        "publish": {"repository": "claim:data/models", "tritons": {"dns": "triton.ml", "port": 8001}},
        "artifacts": "s3://bucket/artifacts",
    } | more


def test_values_in_camel_case_and_messages_in_snake_case_are_the_same_pipeline() -> None:
    spec = PipelineSpec.model_validate(values(stepTimeoutSeconds=60))
    assert spec == PipelineSpec.model_validate(spec.model_dump(mode="json"))
    assert 60 == spec.step_timeout_seconds


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"artifacts": "claim:data"}, "artifacts"),
        ({"artifacts": "/var/data"}, "artifacts"),
        ({"model": "../etc"}, "model"),
        ({"train": {"function": "os.system('x')"}}, "train.function"),
        ({"publish": {"repository": "claim:data/models", "tritons": {}}}, "exactly one"),
        ({"artifacts": "claim:data/models/artifacts"}, "must not lie in publish.repository"),
        ({"stepTimeout": 5}, "stepTimeout"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        PipelineSpec.model_validate(values(**wrong))


def test_a_pipeline_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    file = tmp_path / "pipelines.json"
    file.write_text(json.dumps([values()]))
    assert "nightly" == find_pipeline(file, "nightly").name
    with pytest.raises(PipelineInvalid, match=r'no pipeline "weekly" \(there are: nightly\)'):
        find_pipeline(file, "weekly")
    with pytest.raises(PipelineInvalid, match="there are: none"):
        find_pipeline(None, "weekly")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("no_such_package.train", "cannot be imported"),
        ("json:no_such_function", 'has no function "no_such_function"'),
        ("json.__name__", "is not a function"),
    ],
)
def test_a_function_that_cannot_be_found_is_named_with_the_reason(path: str, problem: str) -> None:
    with pytest.raises(StepFailed, match=problem):
        functions.find(path)


def test_both_forms_of_a_path_find_the_function() -> None:
    assert json.dumps is functions.find("json.dumps")
    assert json.dumps is functions.find("json:dumps")
