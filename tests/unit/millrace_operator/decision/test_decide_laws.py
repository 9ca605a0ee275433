"""The law's properties, for all pools, queues and histories."""

from hypothesis import given
from hypothesis import strategies as st

from millrace_operator.api.worker_pool import Fallback, Mode, PoolPolicy
from millrace_operator.decision.decide import Memory, decide
from millrace_operator.decision.stabilisation import window_seconds
from millrace_operator.model.decision import ScalingDecision
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown

counts = st.integers(min_value=0, max_value=10_000)
readings = st.builds(QueueReading, ready=counts, unacked=counts, consumers=counts)
unknowns = st.builds(Unknown, reason=st.sampled_from(Blindness), message=st.text(max_size=20))
states = st.builds(PoolState, asked=st.integers(min_value=0, max_value=500))


@st.composite
def policies(draw: st.DrawFn, mode: Mode = Mode.AUTO) -> PoolPolicy:
    maximum = draw(st.integers(min_value=1, max_value=400))
    return PoolPolicy(
        concurrency=draw(st.integers(min_value=1, max_value=1000)),
        min_replicas=draw(st.integers(min_value=0, max_value=maximum)),
        max_replicas=maximum,
        idle_seconds=draw(st.integers(min_value=1, max_value=600)),
        mode=mode,
        fallback=draw(
            st.none()
            | st.builds(
                Fallback,
                failure_threshold=st.integers(min_value=1, max_value=5),
                replicas=st.integers(min_value=0, max_value=maximum),
            )
        ),
    )


history = st.lists(st.tuples(st.floats(min_value=0.1, max_value=90), readings | unknowns, states), max_size=15)


def live(policy: PoolPolicy, past: list[tuple[float, Reading, PoolState]]) -> tuple[Memory | None, float]:
    memory, now = None, 0.0
    for elapsed, reading, state in past:
        now += elapsed
        _, memory = decide(policy=policy, state=state, reading=reading, memory=memory, now=now)
    return memory, now + 1.0


def replicas(policy: PoolPolicy, state: PoolState, reading: Reading, memory: Memory | None, now: float) -> int:
    return decide(policy=policy, state=state, reading=reading, memory=memory, now=now)[0].replicas


@given(policies(), history, states, readings)
def test_what_was_read_leads_to_replicas_within_the_bounds(
    policy: PoolPolicy, past: list[tuple[float, Reading, PoolState]], state: PoolState, reading: QueueReading
) -> None:
    memory, now = live(policy, past)

    assert policy.min_replicas <= replicas(policy, state, reading, memory, now) <= policy.max_replicas


@given(policies(), history, states, unknowns)
def test_unknown_never_lowers(
    policy: PoolPolicy, past: list[tuple[float, Reading, PoolState]], state: PoolState, unknown: Unknown
) -> None:
    memory, now = live(policy, past)

    assert replicas(policy, state, unknown, memory, now) >= state.asked


@given(policies(), history, states, readings | unknowns)
def test_the_same_input_gives_the_same_output(
    policy: PoolPolicy, past: list[tuple[float, Reading, PoolState]], state: PoolState, reading: Reading
) -> None:
    memory, now = live(policy, past)

    def once() -> tuple[ScalingDecision, Memory]:
        return decide(policy=policy, state=state, reading=reading, memory=memory, now=now)

    assert once() == once()


@given(policies(), history, states, readings, st.tuples(counts, counts))
def test_more_tasks_never_lead_to_fewer_replicas(
    policy: PoolPolicy,
    past: list[tuple[float, Reading, PoolState]],
    state: PoolState,
    reading: QueueReading,
    added: tuple[int, int],
) -> None:
    memory, now = live(policy, past)
    more = QueueReading(ready=reading.ready + added[0], unacked=reading.unacked + added[1], consumers=0)

    assert replicas(policy, state, more, memory, now) >= replicas(policy, state, reading, memory, now)


@given(policies(), history, states, states, readings)
def test_a_pool_with_history_does_not_depend_on_its_current_replicas(
    policy: PoolPolicy,
    past: list[tuple[float, Reading, PoolState]],
    one: PoolState,
    other: PoolState,
    reading: QueueReading,
) -> None:
    memory, now = live(policy, [(1.0, reading, one), *past])

    assert replicas(policy, one, reading, memory, now) == replicas(policy, other, reading, memory, now)


@given(policies(), readings)
def test_from_zero_all_needed_replicas_come_in_one_step(policy: PoolPolicy, reading: QueueReading) -> None:
    needed = -(-(reading.ready + reading.unacked) // policy.concurrency)
    expected = max(policy.min_replicas, min(needed, policy.max_replicas))

    assert expected == replicas(policy, PoolState(asked=0), reading, None, 0.0)


@given(policies(), history, states, readings)
def test_a_calm_queue_brings_the_pool_to_what_it_needs_after_the_idle_time(
    policy: PoolPolicy, past: list[tuple[float, Reading, PoolState]], state: PoolState, reading: QueueReading
) -> None:
    memory, now = live(policy, past)
    _, memory = decide(policy=policy, state=state, reading=reading, memory=memory, now=now)
    later = now + window_seconds(policy.idle_seconds) + 1

    assert replicas(policy, PoolState(asked=0), reading, None, 0.0) == replicas(policy, state, reading, memory, later)


@given(policies(mode=Mode.PAUSED) | policies(mode=Mode.ADVISORY), states, readings | unknowns)
def test_only_an_auto_pool_is_written(policy: PoolPolicy, state: PoolState, reading: Reading) -> None:
    assert not decide(policy=policy, state=state, reading=reading, memory=None, now=0.0)[0].is_binding


@given(policies(), history)
def test_the_memory_stays_short(policy: PoolPolicy, past: list[tuple[float, Reading, PoolState]]) -> None:
    memory, _ = live(policy, past)

    steps = memory.stairs if memory else ()
    assert [step.replicas for step in steps] == sorted({step.replicas for step in steps}, reverse=True)
