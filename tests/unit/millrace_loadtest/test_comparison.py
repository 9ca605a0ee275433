from dataclasses import replace

from millrace_loadtest.simulator.bench import targets_table
from millrace_loadtest.simulator.comparison import average, best_keda
from millrace_loadtest.simulator.experiments.check import at_least, at_most
from millrace_loadtest.simulator.ledger import Outcome
from millrace_loadtest.simulator.scenario import SCENARIOS, comparisons, read_yaml

AN_OUTCOME = Outcome(
    tasks=100,
    share_within=0.9,
    p50=1.0,
    p95=2.0,
    p99=3.0,
    pod_seconds=200.0,
    work_seconds=100.0,
    killed=0,
    redelivered=0,
    lost_seconds=0.0,
    peak=1,
    starts=1,
    writes=1,
    downs=0,
    victims=0,
    busy_victims=0,
    first_up_seconds=None,
    cap_seconds=None,
)


def outcomes(**shares_and_costs: tuple[float, float]) -> dict[str, dict[str, float | None]]:
    return {
        name.replace("_", "-"): dict(average([replace(AN_OUTCOME, share_within=share, pod_seconds=cost)]))
        for name, (share, cost) in shares_and_costs.items()
    }


def test_the_best_keda_is_the_cheapest_that_meets_the_objective() -> None:
    averages = outcomes(keda_default=(0.5, 100.0), keda_one=(1.0, 300.0), keda_rate=(0.96, 200.0), millrace=(1.0, 50.0))
    assert "keda-rate" == best_keda(averages, percentile=95)


def test_where_none_meets_the_objective_the_best_keda_comes_nearest() -> None:
    averages = outcomes(keda_default=(0.5, 100.0), keda_one=(0.8, 300.0))
    assert "keda-one" == best_keda(averages, percentile=95)


def test_a_moment_that_never_came_does_not_count_in_its_mean() -> None:
    came = replace(AN_OUTCOME, cap_seconds=8.0)
    assert 8.0 == average([AN_OUTCOME, came])["cap_seconds"]
    assert average([AN_OUTCOME])["cap_seconds"] is None


def test_a_missed_threshold_stands_out() -> None:
    table = targets_table({"step": (at_most("cost", 1.2, 1.3), at_least("share", 0.9, 0.95))})
    assert ["met", "MISSED"] == [line.split()[-1] for line in table.splitlines()[1:]]


def test_every_scenario_can_be_drawn_and_has_thresholds() -> None:
    for scenario in comparisons():
        assert scenario.draw(1).arrivals
        assert read_yaml(SCENARIOS / scenario.name / "thresholds.yaml")
