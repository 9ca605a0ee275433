"""A cold start is measured once for each pod, from the decision to the first heartbeat."""

from typing import Any

from loop_cluster import START, raw_pod, worker_in

from millrace_operator.model.pool_state import Pod
from millrace_operator.pools.cold_starts import Starts
from millrace_operator.pools.pods import pod_of, workers_by_pod


def pods(*bodies: Any) -> tuple[Pod, ...]:
    return tuple(found[1] for found in map(pod_of, bodies) if found is not None)


def look(
    starts: Starts, *bodies: Any, heard: tuple[Any, ...] = (), at: float = START, is_listening: bool = True
) -> tuple[float, ...]:
    workers = workers_by_pod({each.node: each for each in heard})
    return starts.look(pods(*bodies), workers, is_listening=is_listening, now=at)


def began() -> Starts:
    starts = Starts()
    look(starts)
    return starts


def test_it_ends_with_the_first_heartbeat_and_is_counted_once() -> None:
    starts = began()
    starts.ask(pods=1, at=START)
    new, heard = raw_pod("a", at=START + 0.9), (worker_in("a", at=START + 4),)

    assert [(), (4.0,), ()] == [
        look(starts, new),
        look(starts, new, heard=heard),
        look(starts, new, heard=heard),
    ]


def test_pods_that_were_there_before_us_are_none() -> None:
    starts = Starts()

    assert () == look(starts, raw_pod("a"), heard=(worker_in("a", at=START + 4),))


def test_each_write_is_the_beginning_of_as_many_pods_as_it_asked_for() -> None:
    starts = began()
    starts.ask(pods=1, at=START)
    starts.ask(pods=1, at=START + 10)
    new = (raw_pod("a", at=START + 1), raw_pod("b", at=START + 11))

    assert (3.0, 5.0) == look(starts, *new, heard=(worker_in("a", at=START + 3), worker_in("b", at=START + 15)))


def test_a_pod_that_nobody_asked_for_begins_when_it_is_created() -> None:
    starts = began()
    starts.ask(pods=1, at=START)
    evicted, replaced = raw_pod("a", at=START + 1), raw_pod("b", at=START + 30)

    assert (3.0, 2.0) == look(
        starts, evicted, replaced, heard=(worker_in("a", at=START + 3), worker_in("b", at=START + 32))
    )


def test_where_no_worker_is_heard_a_pod_has_started_when_it_is_ready() -> None:
    starts = began()
    new = raw_pod("a", at=START)
    new["status"]["conditions"][0]["lastTransitionTime"] = new["metadata"]["creationTimestamp"].replace(":40Z", ":47Z")

    assert [(), (7.0,)] == [look(starts, new, at=START + 10), look(starts, new, at=START + 30)]


def test_a_start_during_which_nobody_listened_is_no_sample() -> None:
    starts = began()
    new = raw_pod("a")
    look(starts, new, is_listening=False)

    assert () == look(starts, new, heard=(worker_in("a", at=START + 60),), at=START + 61)
