"""Decide for all pools: each says what it wants, budgets share, then each is settled. Pure but for the memories."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from millrace_operator.api.capacity_budget import CapacityBudget
from millrace_operator.api.worker_pool import Mode
from millrace_operator.decision.budget import Claim, Grant, share_budget
from millrace_operator.decision.decide import assess, settle
from millrace_operator.pools.case import Case
from millrace_operator.pools.workload import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How a budget is shared in this pass."""

    budget: CapacityBudget
    claims: Sequence[Claim]
    grants: Mapping[str, Grant]

    @property
    def used(self) -> int:
        """Units that the pods of all its pools hold."""
        return sum(claim.held * claim.units_per_replica for claim in self.claims)

    @property
    def wanted(self) -> int:
        """Units that its pools would use."""
        return sum(claim.wanted * claim.units_per_replica for claim in self.claims)


def assess_case(case: Case, *, now: float) -> None:
    """Say what a pool wants."""
    if case.state is None or case.obstacle is not None:
        return
    case.assessment, case.memory.decisions = assess(
        policy=case.pool.policy,
        state=case.state,
        reading=case.reading,
        outlook=case.outlook,
        held_back=case.held_back,
        inference=case.inference,
        memory=case.memory.decisions,
        now=now,
    )


def share_budgets(cases: Iterable[Case], budgets: Mapping[Key, CapacityBudget]) -> dict[Key, Sharing]:
    """Share each budget among the pools that draw on it."""
    claims: dict[Key, list[Claim]] = {key: [] for key in budgets}
    for case in cases:
        reference = case.pool.policy.budget
        if reference is not None and (claim := _claim(case, reference.units_per_replica)) is not None:
            claims[case.pool.namespace, reference.name].append(claim)
    return {
        key: Sharing(budget=budget, claims=claims[key], grants=share_budget(budget.capacity, claims[key]))
        for key, budget in budgets.items()
    }


def settle_case(case: Case, shared: Mapping[Key, Sharing]) -> None:
    """Decide for a pool, within what its budget grants."""
    if case.state is None or case.assessment is None:
        return
    case.decision = settle(
        policy=case.pool.policy, state=case.state, assessment=case.assessment, ceiling=_ceiling(case, shared)
    )


def _claim(case: Case, units_per_replica: int) -> Claim | None:
    state, assessment, policy = case.state, case.assessment, case.pool.policy
    if state is None or assessment is None:
        return None
    # What a rollout, the cluster or Triton forbids would only be withheld from others.
    possible = settle(policy=policy, state=state, assessment=assessment, ceiling=None).replicas
    # What is not ours to lower, or cannot be judged now, cannot be given to others.
    is_fixed = policy.mode is not Mode.AUTO or not assessment.is_known
    return Claim(
        pool=case.pool.name,
        priority=policy.priority,
        units_per_replica=units_per_replica,
        # A pod that terminates holds its GPU until it is gone.
        held=max(state.asked, state.existing, len(case.pods)),
        wanted=max(possible, state.asked) if is_fixed else possible,
        floor=max(state.asked, policy.min_replicas) if is_fixed else policy.min_replicas,
    )


def _ceiling(case: Case, shared: Mapping[Key, Sharing]) -> int | None:
    reference = case.pool.policy.budget
    if reference is None:
        return None
    return shared[case.pool.namespace, reference.name].grants[case.pool.name].ceiling
