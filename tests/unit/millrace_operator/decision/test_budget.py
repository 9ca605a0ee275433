"""Pools share a budget by weight; none starves, and nobody takes what others still hold."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from millrace_operator.decision.budget import Claim, share_budget


def claim(pool: str, *, wanted: int, held: int = 0, priority: int = 1, units: int = 1, floor: int = 0) -> Claim:
    return Claim(pool=pool, priority=priority, units_per_replica=units, held=held, wanted=wanted, floor=floor)


def shares(capacity: int, *claims: Claim) -> dict[str, int]:
    return {pool: grant.share for pool, grant in share_budget(capacity, claims).items()}


def ceilings(capacity: int, *claims: Claim) -> dict[str, int]:
    return {pool: grant.ceiling for pool, grant in share_budget(capacity, claims).items()}


def test_everybody_gets_what_it_wants_while_there_is_enough() -> None:
    assert {"a": 5, "b": 3} == shares(8, claim("a", wanted=5, priority=1), claim("b", wanted=3, priority=9))


def test_under_overload_shares_follow_priority() -> None:
    pools = [claim(name, wanted=100, priority=priority) for name, priority in (("a", 3), ("b", 2), ("c", 1))]

    assert {"a": 4, "b": 3, "c": 1} == shares(8, *pools)
    assert {"a": 30, "b": 20, "c": 10} == shares(60, *pools)


def test_what_one_does_not_want_goes_to_the_others_by_priority() -> None:
    pools = [claim("a", wanted=2, priority=3), claim("b", wanted=100, priority=2), claim("c", wanted=100, priority=1)]

    assert {"a": 2, "b": 4, "c": 2} == shares(8, *pools)


def test_a_pool_of_low_priority_still_gets_its_first_replica() -> None:
    assert {"big": 7, "small": 1} == shares(
        8, claim("big", wanted=100, priority=1000), claim("small", wanted=3, priority=1)
    )


def test_minimum_replicas_come_before_weights() -> None:
    assert {"a": 5, "b": 3} == shares(8, claim("a", wanted=0, floor=5), claim("b", wanted=100, priority=1000))


def test_minimum_replicas_that_exceed_the_budget_are_cut_by_weight() -> None:
    assert {"a": 3, "b": 1} == shares(4, claim("a", wanted=0, floor=9, priority=3), claim("b", wanted=0, floor=9))


def test_weights_count_units_and_not_pods() -> None:
    assert {"four-gpus": 2, "one-gpu": 8} == shares(
        16, claim("four-gpus", wanted=100, units=4), claim("one-gpu", wanted=100)
    )


def test_a_pod_that_does_not_fit_leaves_room_for_one_that_does() -> None:
    assert {"four-gpus": 0, "one-gpu": 3} == shares(
        3, claim("four-gpus", wanted=1, units=4), claim("one-gpu", wanted=9)
    )


def test_what_another_pool_holds_is_taken_until_it_is_gone() -> None:
    pools = [claim("old", wanted=8, held=8), claim("new", wanted=8)]

    assert {"old": 4, "new": 4} == shares(8, *pools)
    assert {"old": 4, "new": 0} == ceilings(8, *pools)


def test_what_became_free_is_given_at_once() -> None:
    assert {"old": 4, "new": 3} == ceilings(8, claim("old", wanted=8, held=5), claim("new", wanted=8))


def test_a_pool_keeps_what_it_does_not_need_while_nobody_else_wants_it() -> None:
    assert {"old": 6, "new": 2} == ceilings(8, claim("old", wanted=0, held=6), claim("new", wanted=2))


def test_a_pool_gives_up_only_as_much_as_others_want() -> None:
    assert {"old": 6, "new": 0} == ceilings(8, claim("old", wanted=0, held=8), claim("new", wanted=2))


def test_replicas_without_work_are_given_up_before_those_with_work() -> None:
    pools = [claim("busy", wanted=4, held=4), claim("idle", wanted=1, held=4), claim("new", wanted=2)]

    assert {"busy": 4, "idle": 2, "new": 0} == ceilings(8, *pools)


def test_a_smaller_capacity_drains_down_to_it() -> None:
    assert {"a": 2, "b": 2} == ceilings(4, claim("a", wanted=5, held=5), claim("b", wanted=5, held=5))


def test_between_equal_claims_it_stays_where_it_is() -> None:
    assert {"a": 1, "b": 2} == shares(3, claim("a", wanted=3, held=1), claim("b", wanted=3, held=2))
    assert {"a": 2, "b": 1} == shares(3, claim("a", wanted=3), claim("b", wanted=3))


few = st.integers(min_value=0, max_value=30)
capacities = st.integers(min_value=0, max_value=60)


def claims(units: st.SearchStrategy[int]) -> st.SearchStrategy[list[Claim]]:
    one = st.builds(
        Claim,
        pool=st.sampled_from("abcdef"),
        priority=st.integers(min_value=1, max_value=9),
        units_per_replica=units,
        held=few,
        wanted=few,
        floor=st.integers(min_value=0, max_value=4),
    )
    return st.lists(one, max_size=6, unique_by=lambda each: each.pool)


any_claims = claims(st.integers(min_value=1, max_value=8))
claims_of_one_unit = claims(st.just(1))


def units(pools: list[Claim], granted: Mapping[str, int]) -> int:
    return sum(granted[each.pool] * each.units_per_replica for each in pools)


@given(capacities, any_claims)
def test_shares_never_exceed_the_budget(capacity: int, pools: list[Claim]) -> None:
    assert units(pools, shares(capacity, *pools)) <= capacity


@given(capacities, any_claims)
def test_nobody_may_ask_for_what_is_not_free(capacity: int, pools: list[Claim]) -> None:
    held = {each.pool: each.held for each in pools}
    asked = {each.pool: max(each.held, ceilings(capacity, *pools)[each.pool]) for each in pools}

    assert units(pools, asked) <= max(capacity, units(pools, held))


@given(capacities, any_claims)
def test_nothing_that_somebody_wants_and_that_fits_is_left(capacity: int, pools: list[Claim]) -> None:
    given_to = shares(capacity, *pools)
    left = capacity - units(pools, given_to)

    assert all(each.units_per_replica > left for each in pools if given_to[each.pool] < each.demand)


@given(capacities, any_claims)
def test_nobody_gets_more_than_it_wants(capacity: int, pools: list[Claim]) -> None:
    assert all(shares(capacity, *pools)[each.pool] <= each.demand for each in pools)


@given(capacities, any_claims)
def test_nobody_starves_where_there_is_a_replica_for_each(capacity: int, pools: list[Claim]) -> None:
    least = {each.pool: max(each.floor, min(1, each.demand)) for each in pools}
    if units(pools, least) <= capacity:
        assert all(shares(capacity, *pools)[pool] >= replicas for pool, replicas in least.items())


@given(capacities, claims_of_one_unit, st.integers(min_value=1, max_value=9))
def test_more_capacity_takes_from_nobody(capacity: int, pools: list[Claim], more: int) -> None:
    before, after = shares(capacity, *pools), shares(capacity + more, *pools)

    assert all(after[pool] >= before[pool] for pool in before)


@given(capacities, claims_of_one_unit, st.integers(min_value=1, max_value=9))
def test_who_wants_more_never_gets_less(capacity: int, pools: list[Claim], more: int) -> None:
    for each in pools:
        others = [other for other in pools if other is not each]
        greedy = claim(
            each.pool,
            wanted=each.demand + more,
            held=each.held,
            priority=each.priority,
            floor=each.floor,
        )
        assert shares(capacity, *others, greedy)[each.pool] >= shares(capacity, *pools)[each.pool]


@given(st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=6), st.integers(min_value=1, max_value=9))
def test_a_budget_that_can_be_divided_is_divided_exactly(priorities: list[int], times: int) -> None:
    pools = [claim(f"pool-{i}", wanted=1000, priority=priority) for i, priority in enumerate(priorities)]
    expected = {f"pool-{i}": priority * times for i, priority in enumerate(priorities)}

    assert expected == shares(sum(priorities) * times, *pools)


def one_pod_each(capacity: int, pools: list[Claim]) -> list[Claim]:
    """Let a second pass: what is granted is asked for at once, and what must go loses one pod."""
    ceiling = ceilings(capacity, *pools)
    after = []
    for each in pools:
        wanted = min(max(each.held, each.demand), ceiling[each.pool])
        after.append(replace(each, held=max(wanted, each.held - 1)))
    return after


@given(capacities, any_claims)
def test_wishes_that_last_come_to_rest_with_everybody_served_and_never_more_than_the_budget(
    capacity: int, pools: list[Claim]
) -> None:
    for _ in range(200):
        before, pools = pools, one_pod_each(capacity, pools)
        held = {each.pool: each.held for each in pools}
        assert units(pools, held) <= max(capacity, units(pools, {each.pool: each.held for each in before}))
        if pools == before:
            break

    assert pools == before
    assert all(held[pool] >= share for pool, share in shares(capacity, *pools).items())


@given(capacities, any_claims)
def test_the_order_of_the_claims_does_not_matter(capacity: int, pools: list[Claim]) -> None:
    assert shares(capacity, *pools) == shares(capacity, *reversed(pools))
