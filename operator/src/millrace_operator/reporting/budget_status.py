"""Build a CapacityBudget's status: who has what of it, and whether it is short. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from millrace_operator.api.capacity_budget import CapacityBudget
from millrace_operator.api.conditions import Condition, merge_conditions
from millrace_operator.decision.budget import Claim, Grant
from millrace_operator.reporting.pool_gauges import BudgetUse

SHARES_LIMIT: Final = 256
"""`maxItems` in the resource definition."""


def budget_conditions(budget: CapacityBudget, use: BudgetUse, *, pools: int) -> tuple[Condition, ...]:
    """Say what holds of a budget now."""
    of = f"{use.used:,} of {use.capacity:,} {budget.unit} units are used"
    if use.wanted > use.capacity:
        message = f"{of} and the pools want {use.wanted:,}: shared by priority, in whole replicas."
        exhausted = Condition(type="Exhausted", status="True", reason="MoreWanted", message=message)
    else:
        message = f"{of}; the pools want {use.wanted:,}."
        exhausted = Condition(type="Exhausted", status="False", reason="EnoughForAll", message=message)
    if pools:
        message = f"Shared by {pools:,} pool{'' if pools == 1 else 's'}."
        return Condition(type="Ready", status="True", reason="Shared", message=message), exhausted
    message = "No WorkerPool of this namespace names the budget in spec.budgetRef."
    return Condition(type="Ready", status="True", reason="Unused", message=message), exhausted


def build_budget_status(
    budget: CapacityBudget,
    *,
    use: BudgetUse,
    claims: Sequence[Claim],
    grants: Mapping[str, Grant],
    conditions: tuple[Condition, ...],
    previous: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """Say everything about a budget; times of what did not change are kept from `previous`."""
    shares = [
        {
            "pool": claim.pool,
            "priority": claim.priority,
            "held": claim.held,
            "wanted": claim.wanted,
            "granted": grants[claim.pool].ceiling,
        }
        for claim in sorted(claims, key=lambda each: each.pool)
    ]
    return {
        "observedGeneration": budget.generation,
        "used": use.used,
        "wanted": use.wanted,
        "pools": len(claims),
        "shares": shares[:SHARES_LIMIT],
        "conditions": merge_conditions(
            previous.get("conditions") or (), conditions, generation=budget.generation, now=now
        ),
    }
