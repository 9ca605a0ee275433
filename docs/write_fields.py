"""Write the tables of fields in docs/predictionjob.md from the resource definition, the one source of both.

A table stands between `<!-- fields: spec.input -->` and `<!-- end -->`; what is around it is written by people. A unit
test fails when the page is not what this writes.
"""

# ruff: noqa: INP001 - a script beside the pages, never a package.

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

DOCS: Final = Path(__file__).parent
PAGE: Final = DOCS / "predictionjob.md"
DEFINITION: Final = DOCS.parent / "manifests" / "crds" / "predictionjobs.yaml"
_TABLE: Final = re.compile(r"<!-- fields: (?P<paths>[\w. ]+) -->\n.*?<!-- end -->", re.DOTALL)
_BOUNDS: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)

Schema = dict[str, Any]


def read_schema() -> Schema:
    """Answer the OpenAPI schema of a PredictionJob."""
    definition = yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))
    schema: Schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """Answer the fields under a path with their schemas, and whether they must be given; lists are `name[]`."""
    if schema.get("type") == "array":
        yield from fields(schema["items"], f"{path}[]")
        return
    for name, inner in schema.get("properties", {}).items():
        below = f"{path}.{name}"
        yield below, inner, name in schema.get("required", [])
        yield from fields(inner, below)


def rendered(text: str, schema: Schema) -> str:
    """Answer the page with its tables made anew."""

    def table(found: re.Match[str]) -> str:
        rows = [row for path in found["paths"].split() for row in _rows(schema, path)]
        return "\n".join([f"<!-- fields: {found['paths']} -->", *_HEAD, *rows, "<!-- end -->"])

    return _TABLE.sub(table, text)


_HEAD: Final = ("| field | default | may be | meaning |", "| --- | --- | --- | --- |")


def _rows(schema: Schema, path: str) -> Iterator[str]:
    parent: Schema = {}
    here, (*_, name) = schema, path.split(".")
    for part in path.split("."):
        parent, here = here, here["properties"][part]
    # A table of the whole spec or status has no row of its own.
    own = [(path, here, name in parent.get("required", []))] if "." in path else []
    for full, field, is_required in (*own, *fields(here, path)):
        shown = full.removeprefix("spec.").removeprefix("status.")
        cells = (f"`{shown}`", _default(field, is_required=is_required), _bounds(field), _meaning(field))
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _default(field: Schema, *, is_required: bool) -> str:
    if is_required:
        return "required"
    # An object's default says no more than those of its fields.
    value = field.get("default")
    if value is None or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "empty"


def _bounds(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(f"`{each}`" for each in field["enum"])
    found = [_range(field, *keys) for keys in _BOUNDS]
    form = {"date-time": "a time"}.get(field.get("format", ""), "")
    kind = {"boolean": "`true`, `false`"}.get(field.get("type", ""), "")
    return ", ".join(filter(None, [*found, form, kind]))


def _range(field: Schema, least: str, most: str, unit: str) -> str:
    low, high = field.get(least), field.get(most)
    if high is None:
        return "" if low is None or least != "minimum" else f"{low:,} or more"
    return f"{low:,} to {high:,}{unit}" if low is not None else f"up to {high:,}{unit}"


def _meaning(field: Schema) -> str:
    items = field.get("items", {})
    return str(field.get("description", items.get("description", ""))).replace("<", "&lt;").replace("*", r"\*")


def main() -> None:
    """Write the page."""
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), read_schema()), encoding="utf-8")


if __name__ == "__main__":
    main()
