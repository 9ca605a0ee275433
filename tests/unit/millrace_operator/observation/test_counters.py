"""Counters of a broker's nodes, over restarts of nodes."""

from millrace_operator.observation.counters import NOTHING, Counters, CounterTotals, add_up


def test_what_was_counted_before_the_first_read_is_the_past() -> None:
    totals = add_up(CounterTotals(), {"one": Counters(delivered=50, redelivered=2, acked=40)})

    assert NOTHING == totals.total


def test_what_the_nodes_count_from_then_on_is_added_up() -> None:
    totals = add_up(CounterTotals(), {"one": Counters(delivered=50), "two": Counters(acked=7)})
    totals = add_up(totals, {"one": Counters(delivered=53), "two": Counters(acked=9)})

    assert Counters(delivered=3, acked=2) == totals.total


def test_a_node_that_restarts_counts_from_zero() -> None:
    totals = add_up(CounterTotals(), {"one": Counters(delivered=50, acked=50)})
    totals = add_up(totals, {"one": Counters(delivered=60, acked=4)})

    assert Counters(delivered=60, acked=4) == totals.total, "one lower count tells that all of them began anew"


def test_a_node_that_restarts_and_counted_nothing_since_takes_nothing_away() -> None:
    totals = add_up(CounterTotals(), {"one": Counters(acked=50)})
    totals = add_up(totals, {"one": Counters(acked=55)})
    totals = add_up(totals, {"one": NOTHING})

    assert 5 == totals.total.acked


def test_a_node_that_does_not_answer_keeps_what_it_had() -> None:
    totals = add_up(CounterTotals(), {"one": Counters(acked=50), "two": Counters(acked=10)})
    totals = add_up(totals, {"two": Counters(acked=11)})
    totals = add_up(totals, {"one": Counters(acked=53), "two": Counters(acked=11)})

    assert 4 == totals.total.acked


def test_a_node_that_is_heard_late_brings_no_past_with_it() -> None:
    totals = add_up(CounterTotals(), {"one": NOTHING})
    totals = add_up(totals, {"one": NOTHING, "two": Counters(acked=1_000)})
    totals = add_up(totals, {"one": NOTHING, "two": Counters(acked=1_001)})

    assert 1 == totals.total.acked
