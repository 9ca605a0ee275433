"""The laws of the decision, for all pools, queues and pasts."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_operator.api.worker_pool import Fallback, Mode, Objective, PoolPolicy
from millrace_operator.decision.decide import Memory, decide, recall
from millrace_operator.model.decision import Reason, ScalingDecision
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.outlook import Due
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown

laws = settings(max_examples=20)

counts = st.integers(min_value=0, max_value=10_000)
seconds = st.floats(min_value=0.05, max_value=600)
unknowns = st.builds(Unknown, reason=st.sampled_from(Blindness), message=st.just("RabbitMQ is away"))
memories = st.none() | st.builds(
    lambda service, cold: recall({"serviceSeconds": str(service), "coldStartSeconds": str(cold)}), seconds, seconds
)
outlooks = st.lists(
    st.builds(Due, at=st.floats(min_value=0, max_value=2000), tasks=st.integers(1, 500), source=st.sampled_from("ab")),
    max_size=4,
).map(lambda due: tuple(sorted(due, key=lambda each: each.at)))


@st.composite
def policies(draw: st.DrawFn, mode: Mode = Mode.AUTO) -> PoolPolicy:
    maximum = draw(st.integers(min_value=1, max_value=400))
    return PoolPolicy(
        concurrency=draw(st.integers(min_value=1, max_value=1000)),
        min_replicas=draw(st.integers(min_value=0, max_value=maximum)),
        max_replicas=maximum,
        objective=Objective(wait_seconds=draw(seconds), percentile=draw(st.integers(min_value=50, max_value=99))),
        idle_seconds=draw(st.none() | st.floats(min_value=1, max_value=600)),
        mode=mode,
        fallback=draw(
            st.none() | st.builds(Fallback, failure_threshold=st.integers(1, 5), replicas=st.integers(0, maximum))
        ),
    )


@st.composite
def states(draw: st.DrawFn) -> PoolState:
    asked = draw(st.integers(min_value=0, max_value=500))
    ready = draw(st.integers(min_value=0, max_value=asked))
    starting = draw(st.lists(st.floats(min_value=-600, max_value=0), max_size=min(asked - ready, 5)).map(sorted))
    return PoolState(
        asked=asked,
        existing=ready + len(starting),
        ready=ready,
        starting_since=tuple(starting),
        cold_starts_seconds=tuple(draw(st.lists(seconds, max_size=2))),
    )


@dataclass(frozen=True)
class Look:
    """One look at a pool: what arrived and ended since the one before, and what is there."""

    elapsed: float
    state: PoolState
    is_known: bool = True
    has_totals: bool = True
    arrivals: int = 0
    completions: int = 0
    ready: int = 0
    unacked: int = 0


looks = st.builds(
    Look,
    elapsed=st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 5.0, 14.0, 16.0, 90.0]),
    state=states(),
    is_known=st.sampled_from([True, True, True, False]),
    has_totals=st.booleans(),
    arrivals=st.integers(0, 300),
    completions=st.integers(0, 300),
    ready=counts,
    unacked=st.integers(0, 500),
)
pasts = st.lists(looks, max_size=4)


@dataclass(frozen=True)
class Moment:
    """Where a past has led to."""

    policy: PoolPolicy
    memory: Memory | None
    now: float
    arrived: int
    completed: int

    def reading(self, look: Look, *, more: int = 0) -> QueueReading:
        """Read the queue; `more` tasks more have arrived and wait."""
        return QueueReading(
            read_at=self.now,
            ready=look.ready + more,
            unacked=look.unacked,
            arrivals_total=self.arrived + look.arrivals + more if look.has_totals else None,
            completions_total=self.completed + look.completions if look.has_totals else None,
        )

    def decide(self, state: PoolState, reading: Reading, **rest: object) -> tuple[ScalingDecision, Memory]:
        """Decide now."""
        given: dict[str, object] = {"policy": self.policy, "state": state, "reading": reading, "memory": self.memory}
        return decide(**(given | {"now": self.now} | rest))  # type: ignore[arg-type]  # named by the test


def live(policy: PoolPolicy, memory: Memory | None, past: list[Look]) -> Moment:
    moment = Moment(policy, memory, 0.0, 0, 0)
    for look in past:
        moment = replace(moment, now=moment.now + look.elapsed)
        unknown = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="away")
        reading: Reading = moment.reading(look) if look.is_known else unknown
        _, memory = moment.decide(look.state, reading)
        moment = replace(
            moment, memory=memory, arrived=moment.arrived + look.arrivals, completed=moment.completed + look.completions
        )
    return replace(moment, now=moment.now + 1.0)


moments = st.builds(live, policies(), memories, pasts)


@laws
@given(moments, looks, outlooks)
def test_what_was_read_leads_to_replicas_within_the_bounds(
    moment: Moment, look: Look, outlook: tuple[Due, ...]
) -> None:
    decision, _ = moment.decide(look.state, moment.reading(look), outlook=outlook)

    assert moment.policy.min_replicas <= decision.replicas <= moment.policy.max_replicas


@laws
@given(moment=moments, look=looks, ceiling=st.integers(0, 500), is_rolling_out=st.booleans(), unschedulable=counts)
def test_whoever_has_a_say_leaves_the_pool_within_what_is_there_and_the_bounds(
    *, moment: Moment, look: Look, ceiling: int, is_rolling_out: bool, unschedulable: int
) -> None:
    state = replace(look.state, is_rolling_out=is_rolling_out, unschedulable=unschedulable)
    saturated = InferenceLoad(requests_per_second=1.0, queue_seconds=2.0, compute_seconds=1.0)
    decision, _ = moment.decide(state, moment.reading(look), inference=saturated, ceiling=ceiling)

    assert 0 <= decision.replicas <= max(moment.policy.max_replicas, state.asked)
    if not is_rolling_out:
        assert decision.replicas <= ceiling


@laws
@given(moments, looks, unknowns, st.none() | st.integers(0, 500))
def test_unknown_never_lowers(moment: Moment, look: Look, unknown: Unknown, ceiling: int | None) -> None:
    decision, _ = moment.decide(look.state, unknown, ceiling=ceiling)

    assert decision.replicas >= look.state.asked
    assert Reason.METRICS_UNAVAILABLE == decision.reason or moment.policy.fallback or ceiling is not None


@laws
@given(moments, looks, counts)
def test_more_backlog_never_leads_to_fewer_replicas(moment: Moment, look: Look, more: int) -> None:
    fewer, _ = moment.decide(look.state, moment.reading(look))
    greater, _ = moment.decide(look.state, moment.reading(look, more=more))

    assert greater.replicas >= fewer.replicas


@laws
@given(moments, looks)
def test_a_pool_with_a_task_has_a_pod(moment: Moment, look: Look) -> None:
    decision, _ = moment.decide(look.state, moment.reading(replace(look, ready=max(1, look.ready))))

    assert decision.replicas >= 1


@laws
@given(moments, looks)
def test_no_pod_that_runs_a_task_is_counted_out(moment: Moment, look: Look) -> None:
    decision, _ = moment.decide(look.state, moment.reading(look))
    needed = -(-look.unacked // moment.policy.concurrency)

    assert decision.replicas >= min(needed, moment.policy.max_replicas)


@laws
@given(moments, looks, outlooks)
def test_the_same_input_gives_the_same_output(moment: Moment, look: Look, outlook: tuple[Due, ...]) -> None:
    def once() -> tuple[ScalingDecision, Memory]:
        return moment.decide(look.state, moment.reading(look), outlook=outlook)

    assert once() == once()


@laws
@given(policies(), st.integers(0, 10_000), st.integers(0, 500))
def test_from_zero_all_needed_replicas_come_in_one_step(policy: PoolPolicy, ready: int, unacked: int) -> None:
    moment = live(policy, None, [])
    decision, _ = moment.decide(PoolState(asked=0), QueueReading(read_at=1.0, ready=ready, unacked=unacked))
    needed = -(-(ready + unacked) // policy.concurrency)

    assert max(policy.min_replicas, min(needed, policy.max_replicas)) == decision.replicas


@laws
@given(moments, looks, st.integers(1, 300))
def test_a_burst_into_an_empty_pool_gets_no_more_slots_than_tasks(moment: Moment, look: Look, tasks: int) -> None:
    calm = live(moment.policy, moment.memory and Memory(service_seconds=moment.memory.service_seconds), [])
    burst = Look(elapsed=1.0, state=PoolState(asked=0), arrivals=tasks, ready=tasks)
    _, memory = calm.decide(PoolState(asked=0), calm.reading(Look(elapsed=1.0, state=look.state)))
    decision, _ = replace(calm, memory=memory, now=2.0).decide(burst.state, calm.reading(burst))

    assert decision.replicas <= max(moment.policy.min_replicas, -(-tasks // moment.policy.concurrency))


@laws
@given(moments, looks)
def test_a_calm_of_hours_brings_the_pool_to_its_minimum(moment: Moment, look: Look) -> None:
    state = replace(look.state, asked=moment.policy.max_replicas)
    for hour in range(3):
        calm = replace(moment, now=moment.now + 3600 * 1000 * hour)
        reading = QueueReading(read_at=calm.now, ready=0, unacked=0)
        decision, memory = calm.decide(state, reading)
        moment = replace(moment, memory=memory)
        state = replace(state, asked=decision.replicas)

    assert moment.policy.min_replicas == decision.replicas


@laws
@given(policies(mode=Mode.PAUSED) | policies(mode=Mode.ADVISORY), memories, looks)
def test_only_an_auto_pool_is_written(policy: PoolPolicy, memory: Memory | None, look: Look) -> None:
    moment = live(policy, memory, [])

    assert not moment.decide(look.state, moment.reading(look))[0].is_binding


@laws
@given(moments, looks, outlooks)
def test_a_decision_is_told_in_one_sentence_that_begins_with_its_number(
    moment: Moment, look: Look, outlook: tuple[Due, ...]
) -> None:
    decision, _ = moment.decide(look.state, moment.reading(look), outlook=outlook)
    replicas = "1 replica: " if decision.replicas == 1 else f"{decision.replicas:,} replicas: "

    assert decision.message.startswith(replicas)
    assert decision.message.endswith(".")
    assert not {"None", "nan", "inf", ";;", "..", "  "} & set(decision.message.split(" "))


@laws
@given(moments)
def test_the_staircase_of_past_demands_descends(moment: Moment) -> None:
    steps = moment.memory.stairs if moment.memory else ()

    assert [step.replicas for step in steps] == sorted({step.replicas for step in steps}, reverse=True)


@laws
@given(moments, looks)
def test_estimates_are_numbers_that_can_be_shown(moment: Moment, look: Look) -> None:
    estimates = moment.decide(look.state, moment.reading(look))[0].estimates
    shown = [value for name in estimates.__slots__ if (value := getattr(estimates, name)) is not None]

    assert all(0 <= value < float("inf") for value in shown)
