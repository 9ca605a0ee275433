"""Two pools that share a budget, through the operator's own functions; the rivals get a fixed part of it each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import fmean
from typing import Any, Final

from millrace_loadtest.simulator.actuator import Actuator
from millrace_loadtest.simulator.comparison import Averages, average, best_keda, value
from millrace_loadtest.simulator.experiments.check import Check, Findings, at_least, at_most
from millrace_loadtest.simulator.ledger import Outcome
from millrace_loadtest.simulator.millrace import TICK_SECONDS, outlook_of, reading_of, state_of
from millrace_loadtest.simulator.parallel import map_all
from millrace_loadtest.simulator.play import close, play, play_together
from millrace_loadtest.simulator.policies import KEDA, MILLRACE, ORACLE, make_scaler, policy_of
from millrace_loadtest.simulator.pool import SimulatedPool
from millrace_loadtest.simulator.scenario import Scenario, scenario_from
from millrace_loadtest.simulator.table import LEGEND, comparison_table
from millrace_operator.api.worker_pool import BudgetReference, PoolPolicy
from millrace_operator.decision.budget import Claim, share_budget
from millrace_operator.decision.decide import Assessment, Memory, assess, settle
from millrace_operator.model.pool_state import PoolState

SETTLED_SECONDS: Final = 120.0
"""After the beginning of the overload; until then pods of the others have work to end."""


@dataclass(slots=True)
class Member:
    """One pool of the budget."""

    pool: SimulatedPool
    policy: PoolPolicy
    actuator: Actuator = field(default_factory=Actuator)
    memory: Memory | None = None


class Budget:
    """Passes over all pools of a CapacityBudget, as the operator makes them; the scaler of the first pool."""

    def __init__(self, capacity: int, members: Mapping[str, Member], *, overload: tuple[float, float]) -> None:
        self.most_used = 0
        self.in_overload: dict[str, list[int]] = {name: [] for name in members}
        """Replicas of each pool in each second of the overload."""
        self._capacity = capacity
        self._members = members
        self._overload = overload
        self._next_at = 0.5

    def begin(self, pool: SimulatedPool) -> None:
        """Start with none."""

    @property
    def next_at(self) -> float:
        """When the next pass is."""
        return self._next_at

    def act(self, pool: SimulatedPool) -> None:
        """Assess all pools, share, settle, act."""
        now = pool.now
        self._next_at += TICK_SECONDS
        seen: dict[str, tuple[PoolState, Assessment]] = {}
        for name, member in self._members.items():
            member.pool.advance(now)
            state = state_of(member.pool)
            assessment, member.memory = assess(
                policy=member.policy,
                state=state,
                reading=reading_of(member.pool),
                outlook=outlook_of(member.pool),
                memory=member.memory,
                now=now,
            )
            seen[name] = (state, assessment)
        grants = share_budget(self._capacity, [self._claim(name, *seen[name]) for name in seen])
        for name, (state, assessment) in seen.items():
            member = self._members[name]
            decision = settle(policy=member.policy, state=state, assessment=assessment, ceiling=grants[name].ceiling)
            member.actuator.bring(member.pool, decision.replicas)
        self._note(now)

    def _claim(self, name: str, state: PoolState, assessment: Assessment) -> Claim:
        policy = self._members[name].policy
        return Claim(
            pool=name,
            priority=policy.priority,
            units_per_replica=1,
            held=max(state.asked, state.existing),
            wanted=assessment.wanted,
            floor=policy.min_replicas,
        )

    def _note(self, now: float) -> None:
        self.most_used = max(self.most_used, sum(len(member.pool.pods) for member in self._members.values()))
        begins, ends = self._overload
        if begins + SETTLED_SECONDS <= now < ends:
            for name, member in self._members.items():
                self.in_overload[name].append(len(member.pool.alive))


@dataclass(frozen=True, slots=True)
class Usage:
    """What became of a budget in one play."""

    most: int
    """Pods at once, over all pools."""
    in_overload: Mapping[str, float]
    """Mean replicas of each pool in the overload."""


class Follower:
    """The scaler of the other pools: the first pool's pass sees to them."""

    next_at = float("inf")

    def begin(self, pool: SimulatedPool) -> None:
        """Start with none."""

    def act(self, pool: SimulatedPool) -> None:
        """Leave it to the budget's pass."""


def measure(text: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Findings:
    """Play the pools under one budget, and each alone with its fixed part of the capacity."""
    capacity, seeds = int(text["capacity"]), range(1, int(text["seeds"]) + 1)
    pools = {name: _scenario(text, name, capacity) for name in text["pools"]}
    weights = {name: int(pool["priority"]) for name, pool in text["pools"].items()}
    split = _split(pools, weights, capacity)

    def apart(job: tuple[str, int]) -> Outcome:
        policy, seed = job
        own = pools if policy == ORACLE else split
        return _total([_alone(own[name], policy, seed) for name in own])

    shared = map_all(lambda seed: _share(text, pools, weights, seed), seeds)
    budgets = [usage for usage, _ in shared]
    rivals = (*KEDA, ORACLE)
    alone = map_all(apart, [(policy, seed) for policy in rivals for seed in seeds])
    averages = {MILLRACE: average([outcome for _, outcome in shared])}
    for index, policy in enumerate(rivals):
        averages[policy] = average(alone[index * len(seeds) : (index + 1) * len(seeds)])
    percentile = next(iter(pools.values())).goal.percentile
    best = best_keda(averages, percentile=percentile) or ""
    parts = {name: fmean(usage.in_overload[name] for usage in budgets) for name in pools}
    return Findings(
        checks=(
            at_most("most pods at once", max(usage.most for usage in budgets), capacity, form=".0f"),
            *_fair_parts(parts, weights, capacity, float(thresholds["share_points"])),
            *_rivalry(averages, best, thresholds, percentile),
        ),
        figures={"best_keda": best, "replicas_in_overload": parts, "policies": averages},
        table=f"{comparison_table(averages, marked=best)}\n{LEGEND}\nRivals and oracle: see scenario.yaml.",
    )


def _fair_parts(parts: Mapping[str, float], weights: Mapping[str, int], capacity: int, points: float) -> list[Check]:
    """Hold each pool's replicas while all want more than there is against its weight."""
    checks = []
    for name, weight in weights.items():
        fair = capacity * weight / sum(weights.values())
        checks.append(
            Check(
                what=f"replicas of {name} in the overload",
                measured=f"{parts[name]:.1f}",
                threshold=f"{fair:.1f} +- {points:g} %",
                is_met=abs(parts[name] / fair - 1) * 100 <= points,
            )
        )
    return checks


def _rivalry(
    averages: Mapping[str, Averages], best: str, thresholds: Mapping[str, Any], percentile: int
) -> list[Check]:
    ours, keda = averages[MILLRACE], averages[best]
    ratio = value(ours, "pod_seconds") / value(keda, "pod_seconds")
    within = at_least(
        "share within the objective",
        value(ours, "share_within"),
        value(keda, "share_within"),
        form=".2%",
        of=f", {best}",
    )
    if value(keda, "share_within") < percentile / 100:
        what = f"pod-seconds, of {best}'s"
        cost = Check(what=what, measured=f"{ratio:.2f}, no KEDA meets the objective", threshold="-", is_met=None)
    else:
        cost = at_most(f"pod-seconds, of {best}'s", ratio, float(thresholds["pod_seconds_of_best_keda"]))
    oracle = value(ours, "pod_seconds") / value(averages[ORACLE], "pod_seconds")
    return [within, cost, at_most("pod-seconds, of the oracle's", oracle, float(thresholds["pod_seconds_of_oracle"]))]


def _scenario(text: Mapping[str, Any], name: str, capacity: int) -> Scenario:
    whole = {**text, **text["pools"][name], "max_replicas": capacity}
    return scenario_from(whole, name=f"shared-budget {name}")


def _split(pools: Mapping[str, Scenario], weights: Mapping[str, int], capacity: int) -> dict[str, Scenario]:
    """Give each pool its part of the capacity as maxReplicas: all that can be done without a budget."""
    total = sum(weights.values())
    return {
        name: replace(pool, goal=replace(pool.goal, max_replicas=round(capacity * weights[name] / total)))
        for name, pool in pools.items()
    }


def _alone(scenario: Scenario, policy: str, seed: int) -> Outcome:
    chance = Random(f"{scenario.name} {seed} {policy}")  # noqa: S311 - a load, not a secret
    pool = SimulatedPool(scenario.draw(seed), scenario.traits, chance=chance)
    return play(pool, make_scaler(policy, scenario, chance=chance), scenario.goal)


def _share(
    text: Mapping[str, Any],
    pools: Mapping[str, Scenario],
    weights: Mapping[str, int],
    seed: int,
) -> tuple[Usage, Outcome]:
    members = {
        name: Member(
            SimulatedPool(
                scenario.draw(seed),
                scenario.traits,
                chance=Random(f"{scenario.name} {seed}"),  # noqa: S311 - a load, not a secret
            ),
            replace(policy_of(scenario.goal), priority=weights[name], budget=BudgetReference(name="shared")),
        )
        for name, scenario in pools.items()
    }
    begins, ends = text["overload"]
    budget = Budget(int(text["capacity"]), members, overload=(float(begins), float(ends)))
    first, *others = members.values()
    play_together([(first.pool, budget), *((member.pool, Follower()) for member in others)])
    usage = Usage(budget.most_used, {name: fmean(replicas) for name, replicas in budget.in_overload.items()})
    outcome = _total([close(member.pool, pools[name].goal) for name, member in members.items()])
    return usage, replace(outcome, peak=usage.most)


def _total(outcomes: Sequence[Outcome]) -> Outcome:
    """Add pools up: counts and costs as sums, shares by tasks, waits as the worst pool's."""
    tasks = sum(outcome.tasks for outcome in outcomes)
    within = sum(outcome.share_within * outcome.tasks for outcome in outcomes) / tasks
    added = ("pod_seconds", "work_seconds", "killed", "redelivered", "lost_seconds", "peak", "starts")
    counted = ("tasks", "writes", "downs", "victims", "busy_victims")
    sums: dict[str, Any] = {name: sum(getattr(one, name) for one in outcomes) for name in (*added, *counted)}
    worst: dict[str, Any] = {name: max(getattr(one, name) for one in outcomes) for name in ("p50", "p95", "p99")}
    return Outcome(share_within=within, first_up_seconds=None, cap_seconds=None, **sums, **worst)
