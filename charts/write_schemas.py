"""Write each chart's values.schema.json from its values.schema.yaml: Helm reads only JSON, and people write YAML.

Anchors of the YAML file are expanded. `tests/charts` fails when a JSON file is not what this writes.
"""

# ruff: noqa: INP001 - a script beside the charts, never a package.

import json
from pathlib import Path

import yaml

CHARTS = Path(__file__).parent


def rendered_schema(chart: Path) -> str:
    """Turn the chart's schema into the text of its JSON file."""
    schema = yaml.safe_load((chart / "values.schema.yaml").read_text(encoding="utf-8"))
    return json.dumps({key: value for key, value in schema.items() if not key.startswith("x-")}, indent=1) + "\n"


def main() -> None:
    """Write the JSON file beside each YAML file."""
    for source in sorted(CHARTS.glob("*/values.schema.yaml")):
        (source.parent / "values.schema.json").write_text(rendered_schema(source.parent), encoding="utf-8")


if __name__ == "__main__":
    main()
