"""The Grafana dashboards of the chart: their panels, and their queries as Grafana would send them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[2] / "charts" / "millrace" / "files" / "dashboards"
VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {"__rate_interval": "1m", "__range": "30m", "namespace": ".*", "pool": ".*"}
)


@dataclass(frozen=True)
class Panel:
    """A panel that shows data."""

    dashboard: str
    json: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Dashboard and title, to show in a test's name."""
        return f"{self.dashboard}: {self.json['title']}"

    def queries(self, **variables: str) -> list[str]:
        """Answer its queries with all variables filled in."""
        values = {**VARIABLES, **variables}
        return [
            re.sub(r"\$(\w+)", lambda found: values[found.group(1)], target["expr"]) for target in self.json["targets"]
        ]


def dashboards() -> dict[str, dict[str, Any]]:
    """Answer all dashboards by the name of their file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def all_panels() -> Iterator[Panel]:
    """Answer the panels of all dashboards, without the titles of rows."""
    for name, dashboard in dashboards().items():
        yield from (Panel(name, panel) for panel in dashboard["panels"] if panel["type"] != "row")
