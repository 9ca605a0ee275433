import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendered_charts import CHARTS, REPOSITORY

pytestmark = pytest.mark.charts

SOURCES = sorted(CHARTS.glob("*/values.schema.yaml"))


def _values(chart: str) -> dict[str, Any]:
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values


def _objects(schema: dict[str, Any], path: str) -> list[str]:
    """Return the paths of objects with named properties that would let an unknown key pass."""
    open_objects = []
    if "properties" in schema and schema.get("additionalProperties") is not False:
        open_objects.append(path)
    for name, child in schema.get("properties", {}).items():
        open_objects += _objects(child, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        open_objects += _objects(schema["items"], f"{path}[]")
    return open_objects


def _unlisted(values: object, schema: dict[str, Any], path: str) -> list[str]:
    """Return the paths of values that the schema has no entry for."""
    if not isinstance(values, dict) or "properties" not in schema:
        return []
    missing = [f"{path}.{key}" for key in values if key not in schema["properties"]]
    for key, value in values.items():
        missing += _unlisted(value, schema["properties"].get(key, {}), f"{path}.{key}")
    return missing


def test_resource_definitions_in_the_chart_are_copies_of_the_one_source() -> None:
    source = {p.name: p.read_text(encoding="utf-8") for p in (REPOSITORY / "manifests" / "crds").glob("*.yaml")}
    copies = {p.name: p.read_text(encoding="utf-8") for p in (CHARTS / "millrace-operator" / "crds").glob("*.yaml")}

    assert source == copies, "run `make generate-chart-crds`"


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.parent.name)
def test_json_schema_is_what_its_yaml_source_says(source: Path) -> None:
    expected = {k: v for k, v in yaml.safe_load(source.read_text(encoding="utf-8")).items() if not k.startswith("x-")}

    actual = json.loads((source.parent / "values.schema.json").read_text(encoding="utf-8"))

    assert expected == actual, "run `make generate-chart-schemas`"


@pytest.mark.parametrize("chart", ["millrace", "millrace-operator"])
def test_every_value_has_an_entry_in_the_schema(chart: str) -> None:
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text(encoding="utf-8"))

    assert [] == _unlisted(_values(chart), schema, chart)


@pytest.mark.parametrize("chart", ["millrace", "millrace-operator"])
def test_no_object_of_the_schema_lets_unknown_keys_pass(chart: str) -> None:
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text(encoding="utf-8"))

    open_objects = _objects(schema, chart)

    # The values of the operator are closed by the operator's own schema.
    assert ["millrace.operator"] * (chart == "millrace") == open_objects


@pytest.mark.parametrize("chart", ["millrace", "millrace-operator"])
def test_schema_patterns_are_of_the_kind_that_go_understands(chart: str) -> None:
    text = (CHARTS / chart / "values.schema.json").read_text(encoding="utf-8")

    assert [] == re.findall(r"\(\?[!=<]", text)


@pytest.mark.parametrize("chart", ["millrace", "millrace-operator"])
def test_each_value_is_read_by_a_template(chart: str) -> None:
    templates = "\n".join(
        p.read_text(encoding="utf-8") for p in (CHARTS / chart / "templates").rglob("*") if p.is_file()
    )
    # Whole blocks that templates hand on, or that belong to the other chart.
    handed_on = {"operator", "global", "enabled", "workerPools"}

    unread = [key for key in _values(chart) if key not in handed_on and f".Values.{key}" not in templates]

    assert [] == unread
