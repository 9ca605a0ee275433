"""One pass over all pools: what is written, when, and how often it is told."""

from dataclasses import replace

from loop_cluster import START, LoopCluster, capacity_budget, queue, raw_pod, worker_in, worker_pool

from millrace_operator.errors import KubernetesError, ObjectNotFound
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.reading import Blindness, Unknown

BLIND = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="RabbitMQ is away")


def test_a_burst_is_written_once_and_told_in_status_and_event() -> None:
    cluster = LoopCluster()
    cluster.run(digits=queue(ready=96))
    cluster.run()

    assert cluster.scales == [12]
    assert cluster.events == [("Normal", "BacklogToDrain")]
    assert cluster.statuses[0]["desiredReplicas"] == 12
    message = cluster.statuses[0]["lastDecision"]["message"]
    assert (message[:27], message[-6:]) == ("12 replicas: 96 tasks wait,", "Was 0.")
    assert cluster.messages == [message]


def test_tasks_that_jobs_hold_back_are_demand_with_a_word_of_their_own() -> None:
    cluster = LoopCluster()
    cluster.held_back.tell({("ml", "digits"): 88, ("ml", "other"): 500})
    cluster.run(digits=queue(ready=8))

    assert cluster.scales == [12]
    message = cluster.statuses[0]["lastDecision"]["message"]
    assert "12 replicas: 96 tasks wait (88 of them held back by their jobs), 0 run" in message
    assert cluster.statuses[0]["queue"]["ready"] == 8, "the queue is told as it is"


def test_what_jobs_hold_back_is_asked_after_the_queue_was_read() -> None:
    cluster = LoopCluster()

    async def look_again() -> None:
        cluster.held_back.tell({("ml", "digits"): 88})

    cluster.held_back.look_again_by(look_again)
    cluster.run(digits=queue(ready=8))

    assert cluster.scales == [12]


def test_counts_are_written_every_five_seconds_at_most() -> None:
    cluster = LoopCluster(replicas={"digits": 12})
    cluster.run(digits=queue(ready=96))
    for ready in range(95, 91, -1):
        cluster.run(digits=queue(ready=ready))
    assert len(cluster.statuses) == 1

    cluster.run(digits=queue(ready=91))
    assert [96, 91] == [status["queue"]["ready"] for status in cluster.statuses]


def test_a_new_decision_is_written_at_once() -> None:
    cluster = LoopCluster()
    cluster.run(digits=queue(ready=1))
    cluster.run(digits=queue(ready=100))

    assert [1, 13] == [status["desiredReplicas"] for status in cluster.statuses]


def test_what_did_not_change_is_not_written() -> None:
    cluster = LoopCluster(readings={"digits": queue()})
    cluster.run_for(30)

    written = [{key: status[key] for key in ("desiredReplicas", "queue")} for status in cluster.statuses]
    assert [{"desiredReplicas": 0, "queue": {"ready": 0, "unacked": 0, "consumers": 0}}] == written


def test_an_outage_holds_the_pool_and_is_told_once_it_lasts() -> None:
    cluster = LoopCluster(replicas={"digits": 3}, readings={"digits": BLIND})
    cluster.run_for(29)
    assert cluster.events == [], "a queue that was just made, or a platform, is unreadable for some seconds"
    cluster.run_for(5)

    assert (cluster.scales, cluster.replicas) == ([], {"digits": 3})
    assert cluster.events == [("Warning", "MetricsUnavailable")]
    assert cluster.condition("MetricsAvailable") == ("False", "BrokerUnreachable")
    assert cluster.condition("ScalingActive") == ("False", "MetricsUnavailable")
    assert "queue" not in cluster.statuses[-1], "what was read before the outage is not true any more"

    cluster.run(digits=queue(ready=24))
    assert cluster.events[1:] == [("Normal", "MetricsAvailable")]
    assert cluster.condition("MetricsAvailable") == ("True", "QueueRead")


def test_a_missing_deployment_is_told_once_and_goes_on_when_it_appears() -> None:
    cluster = LoopCluster(replicas={})
    cluster.run(digits=queue(ready=8))
    cluster.run()
    assert cluster.events == [("Warning", "WorkloadNotFound")]
    assert cluster.condition("Ready") == ("False", "WorkloadNotFound")
    assert cluster.statuses[-1]["lastDecision"]["reason"] == "WorkloadNotFound"

    cluster.replicas["digits"] = 0
    cluster.run()
    assert cluster.scales == [1]


def test_a_refused_write_is_a_condition_and_is_tried_again() -> None:
    cluster = LoopCluster(refusal=KubernetesError("forbidden", status=403))
    cluster.run(digits=queue(ready=8))
    assert cluster.replicas == {"digits": 0}

    cluster.refusal = None
    cluster.run()
    assert cluster.scales == [1]


def test_a_pool_that_is_gone_is_forgotten() -> None:
    cluster = LoopCluster(refusal=ObjectNotFound("gone", status=404))
    cluster.run(digits=queue())

    assert cluster.pools == []
    cluster.run()


def test_an_advisory_pool_reports_and_writes_no_replicas() -> None:
    cluster = LoopCluster(pools=[worker_pool(mode="Advisory")])
    cluster.run(digits=queue(ready=80))

    assert (cluster.scales, cluster.statuses[0]["desiredReplicas"]) == ([], 10)
    assert cluster.condition("ScalingActive") == ("False", "Advisory")


def test_after_a_restart_times_of_what_did_not_change_are_kept() -> None:
    cluster = LoopCluster()
    cluster.run(digits=queue(ready=1000))
    cluster.pools[0]["status"] = dict(cluster.statuses[-1])
    cluster.restart()
    cluster.run(after=100, digits=queue(ready=999))

    assert cluster.statuses[0]["lastDecision"]["time"] == cluster.statuses[-1]["lastDecision"]["time"]
    ready = [status["conditions"][2]["lastTransitionTime"] for status in (cluster.statuses[0], cluster.statuses[-1])]
    assert ready[0] == ready[1]


def test_one_pool_that_cannot_be_read_does_not_hold_up_another() -> None:
    cluster = LoopCluster(pools=[worker_pool("a"), worker_pool("b")], replicas={"a": 0, "b": 0})
    cluster.run(a=BLIND, b=queue(ready=8))

    assert cluster.replicas == {"a": 0, "b": 1}


def test_an_outage_of_a_pool_that_could_be_read_is_told_after_five_passes() -> None:
    cluster = LoopCluster(replicas={"digits": 3}, readings={"digits": queue(ready=24)})
    cluster.run_for(60)
    cluster.run(digits=BLIND)
    cluster.run_for(3)
    assert cluster.events == []

    cluster.run()
    assert cluster.events == [("Warning", "MetricsUnavailable")]


def test_fewer_replicas_are_reached_by_draining_and_what_happened_is_told() -> None:
    cluster = LoopCluster(replicas={"digits": 5}, readings={"digits": queue()})
    cluster.run_for(120)

    assert (cluster.scales, cluster.replicas) == ([], {"digits": 0})
    assert ("Normal", "PodsRemoved") in cluster.events
    assert all(decided < asked for asked, decided, _ in cluster.steps)


def test_a_pod_that_drains_is_given_back_when_the_load_is_back() -> None:
    draining = raw_pod("a", annotations={"millrace.dev/draining-since": "1970-01-12T13:46:40Z"})
    cluster = LoopCluster(replicas={"digits": 1}, pod_bodies=[draining], readings={"digits": queue(ready=80)})
    cluster.run()

    assert cluster.scales == [10]
    assert cluster.steps == [(10, 10, True)], "more replicas first, then the drainer learns that none is to go"


def test_pods_that_drain_are_given_back_when_their_pool_is_deleted_or_cannot_be_sized_any_more() -> None:
    draining = raw_pod("a", annotations={"millrace.dev/draining-since": "1970-01-12T13:46:40Z"})
    cluster = LoopCluster(replicas={"digits": 2}, pod_bodies=[draining, raw_pod("b")], readings={"digits": queue()})
    cluster.run()
    cluster.steps.clear()

    cluster.pools = [worker_pool(budgetRef={"name": "gone"})]
    cluster.run()
    cluster.pools = []
    cluster.run()

    assert cluster.steps == [(2, 2, False)] * 2


def test_an_advisory_pool_lets_no_pod_go() -> None:
    cluster = LoopCluster(pools=[worker_pool(mode="Advisory")], replicas={"digits": 5}, readings={"digits": queue()})
    cluster.run_for(120)

    assert (cluster.steps, cluster.replicas) == ([], {"digits": 5})


def test_what_another_wrote_is_reported_and_left_alone_for_a_while() -> None:
    cluster = LoopCluster(readings={"digits": queue(ready=80)})
    cluster.run_for(2)
    assert cluster.replicas == {"digits": 10}

    cluster.replicas["digits"], cluster.manager = 3, "kubectl-scale"
    cluster.run_for(30)
    assert cluster.replicas == {"digits": 3}
    assert cluster.condition("ScalingActive") == ("False", "ReplicasChangedByOther")
    assert cluster.events[1:] == [("Warning", "ReplicasChangedByOther")]
    assert "from 10 to 3 by kubectl-scale." in cluster.messages[1]

    cluster.run_for(5)
    assert cluster.replicas == {"digits": 10}


def test_a_watch_that_is_late_makes_no_second_write() -> None:
    cluster = LoopCluster()
    cluster.run(digits=queue(ready=80))
    cluster.replicas["digits"] = 0
    cluster.run_for(2)

    assert cluster.scales == [10]


def test_two_pools_share_a_budget_and_both_get_pods() -> None:
    of = {"budgetRef": {"name": "gpus"}}
    cluster = LoopCluster(
        pools=[worker_pool("a", **of, priority=3), worker_pool("b", **of, priority=1)],
        replicas={"a": 0, "b": 0},
        budgets=[capacity_budget(capacity=8)],
        readings={"a": queue(ready=160), "b": queue(ready=160)},
    )
    cluster.run_for(2)

    assert cluster.replicas == {"a": 6, "b": 2}
    assert cluster.condition("ScalingLimited") == ("True", "BudgetExhausted")
    status = cluster.budget_statuses[-1]
    assert (status["used"], status["wanted"], status["pools"]) == (0, 40, 2), (
        "of the first pass; counts take their turn"
    )
    assert [("a", 6), ("b", 2)] == [(share["pool"], share["granted"]) for share in status["shares"]]
    assert [("Ready", "True"), ("Exhausted", "True")] == [
        (each["type"], each["status"]) for each in status["conditions"]
    ]


def test_a_pool_that_must_not_be_lowered_keeps_its_part_of_the_budget() -> None:
    of = {"budgetRef": {"name": "gpus"}}
    cluster = LoopCluster(
        pools=[worker_pool("a", **of, mode="Paused"), worker_pool("b", **of, priority=100)],
        replicas={"a": 5, "b": 0},
        budgets=[capacity_budget(capacity=8)],
        readings={"a": queue(), "b": queue(ready=160)},
    )
    cluster.run()

    assert cluster.replicas == {"a": 5, "b": 3}


def test_a_pool_of_a_missing_budget_keeps_its_size_and_says_so() -> None:
    cluster = LoopCluster(pools=[worker_pool(budgetRef={"name": "gpus"})], readings={"digits": queue(ready=80)})
    cluster.run()

    assert cluster.scales == []
    assert cluster.condition("ScalingActive") == ("False", "BudgetNotFound")

    cluster.budgets.append(capacity_budget(capacity=100))
    cluster.run()
    assert cluster.scales == [10]


def test_pods_that_no_node_takes_stop_the_scale_up_with_the_schedulers_words() -> None:
    no_place = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    }
    cluster = LoopCluster(
        replicas={"digits": 1},
        pod_bodies=[raw_pod("a", ready=False, conditions=[no_place])],
        readings={"digits": queue(ready=80)},
    )
    cluster.run()

    assert cluster.scales == []
    assert cluster.condition("ScalingLimited") == ("True", "PodsUnschedulable")
    assert "Insufficient nvidia.com/gpu" in cluster.messages[0]


def test_a_saturated_triton_stops_the_scale_up() -> None:
    cluster = LoopCluster(
        pools=[worker_pool(triton={"metricsPort": 8002})],
        replicas={"digits": 2},
        load=InferenceLoad(requests_per_second=100, queue_seconds=2, compute_seconds=1),
        readings={"digits": queue(ready=80)},
    )
    cluster.run()

    assert cluster.scales == []
    assert cluster.condition("ScalingLimited") == ("True", "InferenceSaturated")


def test_a_schedule_that_cannot_be_read_is_told_and_the_pool_is_sized_without_it() -> None:
    spoilt = [{"cron": "0 99 * * *", "minReplicas": 5}]
    cluster = LoopCluster(pools=[worker_pool(schedules=spoilt)], readings={"digits": queue(ready=8)})
    cluster.run()

    assert cluster.scales == [1]
    assert cluster.condition("ScalingActive") == ("True", "ScheduleInvalid")
    assert ("Warning", "ScheduleInvalid") in cluster.events


def test_how_long_a_pod_took_is_measured_from_the_write_that_asked_for_it() -> None:
    cluster = LoopCluster()
    cluster.run(digits=queue(ready=8))
    asked_at = cluster.seconds
    cluster.pod_bodies.append(raw_pod("a", at=asked_at + 0.4))
    cluster.run()
    cluster.heard.append(worker_in("a", at=asked_at + 3.5))
    cluster.run(after=5)
    cluster.run(after=5)

    assert [status.get("coldStartSeconds") for status in cluster.statuses[-2:]] == [None, "3.5"]


def test_an_operator_that_starts_anew_remembers_what_the_status_says() -> None:
    cluster = LoopCluster(readings={"digits": queue()})
    cluster.pools[0]["status"] = {"serviceSeconds": "5.1", "coldStartSeconds": "12"}
    cluster.run()

    assert ("5.1", "12") == (cluster.statuses[-1]["serviceSeconds"], cluster.statuses[-1]["coldStartSeconds"])


def test_estimates_that_move_while_the_same_tasks_wait_are_written_once_a_minute() -> None:
    cluster = LoopCluster(pools=[worker_pool(maxReplicas=1)], replicas={"digits": 1})
    for second in range(300):
        seen = replace(queue(ready=8), read_at=START + second, arrivals_total=8, completions_total=0)
        cluster.run(digits=seen)

    assert 5 <= len(cluster.statuses) <= 8


def test_estimates_that_move_while_there_is_no_task_are_written_every_five_minutes() -> None:
    cluster = LoopCluster()
    for second in range(700):
        seen = replace(queue(), read_at=START + second, arrivals_total=0, completions_total=0)
        cluster.run(digits=seen)

    assert 3 <= len(cluster.statuses) <= 5


def test_what_was_learned_of_a_pool_without_a_task_is_written_within_a_minute() -> None:
    cluster = LoopCluster(pools=[worker_pool(minReplicas=2)], replicas={"digits": 2}, readings={"digits": queue()})
    cluster.pod_bodies.append(raw_pod("a"))
    cluster.heard.append(worker_in("a"))
    cluster.run()
    cluster.pod_bodies.append(raw_pod("b", at=cluster.seconds))
    cluster.run_for(9)
    cluster.heard.append(worker_in("b", at=cluster.seconds))
    cluster.run_for(65)

    assert "9" == cluster.statuses[-1]["coldStartSeconds"]
