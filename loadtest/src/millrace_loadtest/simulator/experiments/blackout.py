"""The broker cannot be read for ten minutes: nothing is lowered, and soon after its return the number is right.

Right is what the operator would want had it seen everything. Two shadows decide each second on true readings of the
same pool, and nothing is done about it: one without any delay on the way down says what is enough, one with the own
policy of the pool what is no more than that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from millrace_loadtest.simulator.experiments.check import Findings, at_most
from millrace_loadtest.simulator.millrace import Blackout, Millrace, outlook_of, reading_of
from millrace_loadtest.simulator.parallel import map_all
from millrace_loadtest.simulator.play import play_together
from millrace_loadtest.simulator.policies import policy_of
from millrace_loadtest.simulator.pool import SimulatedPool
from millrace_loadtest.simulator.scenario import Scenario
from millrace_loadtest.simulator.table import columns
from millrace_operator.decision.decide import Memory, decide
from millrace_operator.model.decision import ScalingDecision
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Reading

TOLERATED_SHARE: Final = 0.1
WATCHED_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was decided after the blackout, and what the shadows wanted."""

    ticks: int
    """Since the broker can be read again; the first is 1."""
    decided: int
    needed: int
    held: int
    """What an operator that has always seen would have: what is needed, or was a moment ago."""

    @property
    def is_enough(self) -> bool:
        """Tell whether no fewer were decided than is right."""
        return self.decided >= self.needed - max(1.0, TOLERATED_SHARE * self.needed)

    @property
    def is_no_excess(self) -> bool:
        """Tell whether no more were decided than is right."""
        return self.decided <= self.held + max(1.0, TOLERATED_SHARE * self.held)


class Shadowed(Millrace):
    """Millrace with two shadows that always see."""

    def __init__(self, scenario: Scenario, *, chance: Random, blackout: Blackout) -> None:
        super().__init__(policy_of(scenario.goal), chance=chance, law=self._decide_both, blackout=blackout)
        self.after: list[Comparison] = []
        self._pool: SimulatedPool | None = None
        self._ends = blackout.ends
        self._prompt = replace(self.policy, idle_seconds=0.0)
        self._needing: Memory | None = None
        self._holding: Memory | None = None
        self._ticks = 0

    def act(self, pool: SimulatedPool) -> None:
        """Let the shadows look at the same pool."""
        self._pool = pool
        super().act(pool)

    def _decide_both(
        self, *, state: PoolState, reading: Reading, memory: Memory | None, now: float, **_: Any
    ) -> tuple[ScalingDecision, Memory]:
        if self._pool is None:
            raise AssertionError("a pass without a pool")
        truth, outlook = reading_of(self._pool), outlook_of(self._pool)
        needed, self._needing = decide(
            policy=self._prompt, state=state, reading=truth, outlook=outlook, memory=self._needing, now=now
        )
        held, self._holding = decide(
            policy=self.policy, state=state, reading=truth, outlook=outlook, memory=self._holding, now=now
        )
        decision, memory = decide(
            policy=self.policy, state=state, reading=reading, outlook=outlook, memory=memory, now=now
        )
        if self._ends <= now < self._ends + WATCHED_SECONDS:
            self._ticks += 1
            self.after.append(Comparison(self._ticks, decision.replicas, needed.replicas, held.replicas))
        return decision, memory


def measure(scenario: Scenario, text: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Findings:
    """Blind the operator at other moments of the load with each seed."""
    rows = map_all(lambda seed: _play(scenario, text, seed), range(1, int(text["seeds"]) + 1))
    return Findings(
        checks=(
            at_most("scale-downs while nothing can be read", sum(row["downs"] for row in rows), 0, form=".0f"),
            at_most(
                "ticks after its return until the replicas are enough",
                max(row["ticks_until_enough"] for row in rows),
                float(thresholds["ticks_until_right"]),
                form=".0f",
            ),
            at_most(
                "ticks after its return until they are no more than enough",
                max(row["ticks_until_no_excess"] for row in rows),
                float(thresholds["ticks_until_right"]),
                form=".0f",
            ),
        ),
        figures={"rows": rows},
        table=columns([list(rows[0]), *([f"{value:g}" for value in row.values()] for row in rows)]),
    )


def _play(scenario: Scenario, text: Mapping[str, Any], seed: int) -> dict[str, float]:
    chance = Random(f"blackout {seed}")  # noqa: S311 - a load, not a secret
    earliest, latest = text["blackout"]["between"]
    begins = chance.uniform(earliest, latest)
    blackout = Blackout(begins, begins + float(text["blackout"]["seconds"]))
    pool = SimulatedPool(scenario.draw(seed), scenario.traits, chance=chance)
    scaler = Shadowed(scenario, chance=chance, blackout=blackout)
    scaler.begin(pool)
    play_together([(pool, scaler)])
    writes = [(before, after) for at, before, after in pool.ledger.writes if blackout.begins <= at < blackout.ends]
    never = len(scaler.after) + 1
    return {
        "begins_at": round(begins),
        "downs": sum(after < before for before, after in writes),
        "decided": scaler.after[1].decided,
        "needed": scaler.after[1].needed,
        "held": scaler.after[1].held,
        "ticks_until_enough": next((step.ticks for step in scaler.after if step.is_enough), never),
        "ticks_until_no_excess": next((step.ticks for step in scaler.after if step.is_no_excess), never),
    }
