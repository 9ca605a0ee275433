"""Prometheus itself reads each query of the dashboards; that each returns data is tested on the cluster (tests/e2e)."""

from pathlib import Path

import yaml
from dashboards import all_panels
from promtool import promtool


def test_prometheus_understands_each_query_of_each_panel(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query}
        for number, query in enumerate(query for panel in all_panels() for query in panel.queries())
    ]
    assert len(rules) > 30
    text = yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]})

    with promtool(tmp_path, {"panels.yml": text}) as tool:
        assert f"SUCCESS: {len(rules)} rules found" in tool.run("promtool", "check", "rules", "/rules/panels.yml")
