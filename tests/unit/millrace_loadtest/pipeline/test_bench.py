"""What the loop's benchmark makes of figures."""

from pathlib import Path

import yaml

from millrace_loadtest.pipeline.bench import PARTS, checks

FAST = {"fast": {"part": "gateway", "figure": "p50", "at_most": 10.0}}
MANY = {"many": {"part": "ingest", "figure": "rate", "at_least": 100}}


def test_a_figure_at_its_bound_meets_it() -> None:
    told = checks({"gateway": {"p50": 10.0}, "ingest": {"rate": 100}}, FAST | MANY)
    assert [True, True] == [check["is_met"] for check in told]


def test_a_figure_beyond_its_bound_misses_it() -> None:
    told = checks({"gateway": {"p50": 10.1}, "ingest": {"rate": 99}}, FAST | MANY)
    assert [False, False] == [check["is_met"] for check in told]


def test_a_part_that_failed_meets_nothing() -> None:
    assert [False] == [check["is_met"] for check in checks({"gateway": {"failed": "it ended with 1"}}, FAST)]


def test_a_part_that_was_not_measured_is_left_out() -> None:
    assert [] == checks({}, FAST)


def test_each_threshold_names_a_part_and_one_bound() -> None:
    file = Path(__file__).parents[4] / "loadtest/scenarios/pipeline/thresholds.yaml"
    thresholds = yaml.safe_load(file.read_text())
    assert {threshold["part"] for threshold in thresholds.values()} <= set(PARTS)
    assert all(("at_most" in each) != ("at_least" in each) for each in thresholds.values())
