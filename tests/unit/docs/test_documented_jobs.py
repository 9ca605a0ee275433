"""docs/predictionjob.md has every field of the resource definition, and examples that it accepts."""

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from documented_jobs import PAGE, documented_jobs

from millrace_worker.tasks.notify import signature

REPOSITORY = Path(__file__).parents[3]
WRITER = runpy.run_path(str(REPOSITORY / "docs" / "write_fields.py"))
SCHEMA: dict[str, Any] = WRITER["read_schema"]()
JOBS = documented_jobs()
rendered: Callable[[str, dict[str, Any]], str] = WRITER["rendered"]

FIELDS: dict[str, dict[str, Any]] = {
    path: field for path, field, _ in WRITER["fields"](SCHEMA["properties"]["spec"], "spec")
}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Answer a schema as the API server takes it with strict decoding: a field that is not in it is refused."""
    closed = {key: _closed(value) if isinstance(value, dict) else value for key, value in schema.items()}
    return closed | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed


def _given(value: Any, path: str) -> Iterator[str]:
    """Answer the paths of all fields that an example gives."""
    if isinstance(value, list):
        for item in value:
            yield from _given(item, f"{path}[]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from _given(inner, f"{path}.{name}")


def test_the_tables_are_those_of_the_resource_definition() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert rendered(text, SCHEMA) == text, "run `make generate-docs`"


def test_every_field_of_the_spec_stands_in_a_table() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert [] == [path for path in FIELDS if f"| `{path.removeprefix('spec.')}` |" not in text]


def test_every_field_of_the_spec_says_what_it_means() -> None:
    assert [] == [path for path, field in FIELDS.items() if "description" not in field | field.get("items", {})]


def test_every_field_of_the_spec_stands_in_an_example() -> None:
    given = {path for job in JOBS.values() for path in _given(job["spec"], "spec")}

    assert [] == [path for path in FIELDS if path not in given]


@pytest.mark.parametrize("name", JOBS)
def test_an_example_satisfies_the_schema(name: str) -> None:
    job = JOBS[name]

    assert ("millrace.dev/v1alpha1", "PredictionJob") == (job["apiVersion"], job["kind"])
    jsonschema.validate(job["spec"], _closed(SCHEMA["properties"]["spec"]))


def _jobs_in(value: Any) -> Iterator[dict[str, Any]]:
    """Answer the specs of all PredictionJobs in manifests or values of the chart, templates of schedules included."""
    if isinstance(value, list):
        for item in value:
            yield from _jobs_in(item)
    elif isinstance(value, dict):
        if value.get("kind") == "PredictionJob":
            yield value["spec"]
        for name, inner in value.items():
            if name == "jobTemplate":
                yield inner["spec"]
            yield from _jobs_in(inner)


@pytest.mark.parametrize(
    "sample", sorted((REPOSITORY / "manifests" / "samples").rglob("*.yaml")), ids=lambda path: str(path.name)
)
def test_the_jobs_of_a_sample_satisfy_the_schema(sample: Path) -> None:
    for spec in _jobs_in(list(yaml.safe_load_all(sample.read_text(encoding="utf-8")))):
        jsonschema.validate(spec, _closed(SCHEMA["properties"]["spec"]))


@pytest.mark.parametrize("secret", ["a plain secret", "whsec_c2VjcmV0IGJ5dGVz"])
def test_the_documented_check_takes_what_the_platform_signs_and_nothing_else(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, Any] = {}
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    exec(block, known)
    now = 1_800_000_000
    monkeypatch.setattr("time.time", lambda: now)
    signed = signature(secret, message_id="u:Failed", timestamp=now, body=b"{}")
    headers = {"webhook-id": "u:Failed", "webhook-timestamp": str(now), "webhook-signature": signed}

    assert known["is_genuine"](headers, b"{}", secret.encode())
    assert not known["is_genuine"](headers, b"{ }", secret.encode())
    assert not known["is_genuine"]({**headers, "webhook-timestamp": str(now - 600)}, b"{}", secret.encode())
    assert not known["is_genuine"](headers, b"{}", b"another")
