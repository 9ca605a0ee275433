"""What `kubectl get cbudget` sees of a budget."""

from pathlib import Path
from typing import Any

import yaml

from millrace_operator.api.capacity_budget import CapacityBudget
from millrace_operator.decision.budget import Claim, Grant
from millrace_operator.reporting.budget_status import budget_conditions, build_budget_status
from millrace_operator.reporting.pool_gauges import BudgetUse

BUDGET = CapacityBudget(namespace="ml", name="gpus", uid="u", generation=3, capacity=8, unit="GPU", status={})


def build(*pools: str, wanted: int = 20) -> dict[str, Any]:
    use = BudgetUse(capacity=8, used=6, wanted=wanted)
    return build_budget_status(
        BUDGET,
        use=use,
        claims=[Claim(pool=name, priority=1, units_per_replica=1, held=3, wanted=10) for name in pools],
        grants={name: Grant(share=4, ceiling=4) for name in pools},
        conditions=budget_conditions(BUDGET, use, pools=len(pools)),
        previous={},
        now=0.0,
    )


def test_who_has_wants_and_may_have_what() -> None:
    status = build("b", "a")

    assert (3, 6, 20, 2) == tuple(status[name] for name in ("observedGeneration", "used", "wanted", "pools"))
    assert [{"pool": name, "priority": 1, "held": 3, "wanted": 10, "granted": 4} for name in ("a", "b")] == status[
        "shares"
    ]


def test_it_is_exhausted_when_its_pools_want_more_than_it_has() -> None:
    assert ["True", "False"] == [
        each["status"]
        for wanted in (9, 8)
        for each in build("a", wanted=wanted)["conditions"]
        if each["type"] == "Exhausted"
    ]


def test_a_budget_that_nobody_names_says_so() -> None:
    assert "No WorkerPool of this namespace names the budget" in build()["conditions"][0]["message"]


def test_every_field_is_one_of_the_resource_definition_and_the_list_is_bounded() -> None:
    crds = Path(__file__).parents[4] / "manifests/crds"
    version = yaml.safe_load((crds / "capacitybudgets.yaml").read_text())["spec"]["versions"][0]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    status = build(*(f"pool-{number}" for number in range(1000)))

    assert (set(), fields["shares"]["maxItems"]) == (status.keys() - fields.keys(), len(status["shares"]))
