"""Every alert of the chart fires when it should and says what it says, by Prometheus' own tool.

alerts/<alert>.yaml are tests of promtool: series in, alerts out. The rules are the ones that the chart renders.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from containers import Container
from promtool import promtool
from rendered_charts import find, render

CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))


@pytest.fixture(scope="module")
def configuration() -> dict[str, str]:
    """Answer the files that the chart gives to its Prometheus."""
    files: dict[str, str] = find(render(), "ConfigMap", "r-prometheus")["data"]
    return files


@pytest.fixture(scope="module")
def tool(configuration: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container with promtool, the chart's rules and the tests of this folder."""
    folder = tmp_path_factory.mktemp("promtool")
    for case in CASES:
        (folder / case.name).write_text(case.read_text(encoding="utf-8"), encoding="utf-8")
    with promtool(folder, configuration) as container:
        yield container


def _alerts(configuration: dict[str, str]) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(configuration["rules.yml"])["groups"] for rule in group["rules"]]


def test_each_alert_has_a_test(configuration: dict[str, str]) -> None:
    assert {alert["alert"] for alert in _alerts(configuration)} == {case.stem for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alert_fires_when_it_should_and_only_then(tool: Container, case: Path) -> None:
    assert "SUCCESS" in tool.run("promtool", "test", "rules", f"/rules/{case.name}")


def test_prometheus_accepts_the_configuration_of_the_chart(tool: Container) -> None:
    assert "SUCCESS" in tool.run("promtool", "check", "config", "/etc/millrace/prometheus.yml")
