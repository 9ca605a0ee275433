"""What is shown of objects of the cluster, and how the gateway is found in it."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from millrace.cli import gateway, job_logs
from millrace.cli.dlq import about
from millrace.cli.errors import UsageInvalid
from millrace.cli.job_files import files_uri, result_lines
from millrace.cli.job_progress import in_words
from millrace.cli.job_view import job_details, job_view
from millrace.cli.pools import pool_view
from millrace.cli.times import age
from millrace.errors import NotFound, Unavailable

JOB: dict[str, Any] = {
    "metadata": {"name": "digits", "namespace": "ns", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"model": {"name": "m"}, "workerPoolRef": {"name": "pool"}, "output": {"redis": {}}},
}


@dataclass
class FakeCluster:
    """Answers lists of objects."""

    services: list[dict[str, Any]] = field(default_factory=list)
    pods: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[dict[str, Any]] = field(default_factory=list)
    namespace: str = "ns"

    def core(self, kind: str, **_: str) -> list[dict[str, Any]]:
        """List objects of a kind."""
        found: list[dict[str, Any]] = getattr(self, kind)
        return found


def service(release: str = "millrace", target: int | str = "http") -> dict[str, Any]:
    return {
        "metadata": {"name": f"{release}-gateway", "labels": {"app.kubernetes.io/instance": release}},
        "spec": {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 8000, "targetPort": target}]},
    }


def pod(name: str = "gateway-1", *, is_ready: bool = True) -> dict[str, Any]:
    ports = [{"name": "metrics", "containerPort": 9}, {"name": "http", "containerPort": 8123}]
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "gateway", "ports": ports}]},
        "status": {"conditions": [{"type": "Ready", "status": str(is_ready)}]},
    }


def open_gateway(cluster: FakeCluster, api_key: str = "") -> Any:
    return gateway.open_client(cluster, release=None, api_key=api_key)  # type: ignore[arg-type] # what it uses of it


def test_a_job_that_nobody_looked_at_yet_has_unknown_counts_and_no_verdict() -> None:
    view = job_view(JOB)

    assert ("Pending", False, None) == (view["state"], view["finished"], view["succeeded"])
    assert {None} == set(view["records"].values())


def test_a_total_that_is_not_known_yet_is_null() -> None:
    view = job_view({**JOB, "status": {"records": {"total": -1, "succeeded": 0}}})

    assert (None, 0) == (view["records"]["total"], view["records"]["succeeded"])


@pytest.mark.parametrize(("status", "verdict"), [("True", True), ("False", False), ("Unknown", None)])
def test_a_job_has_ended_when_its_summary_condition_says_so(*, status: str, verdict: bool | None) -> None:
    condition = {"type": "Succeeded", "status": status, "reason": "Why", "message": "because"}
    view = job_view({**JOB, "status": {"conditions": [condition]}})

    assert (verdict is not None, verdict) == (view["finished"], view["succeeded"])
    assert ("Why", "because") == (view["reason"], view["message"])


RUNNING: dict[str, Any] = {
    **JOB,
    "spec": {**JOB["spec"], "suspend": True, "priority": 7},
    "status": {
        "state": "Suspended",
        "records": {"total": 2000, "succeeded": 1490, "failed": 10, "cached": 400, "retried": 3, "ignored": 0},
        "tasks": {"total": 20, "succeeded": 15, "active": 0, "deadLettered": 2},
        "attempt": 2,
        "throughput": "1,204/s",
        "eta": "4s",
    },
}


def test_beside_the_bar_stands_what_is_known_and_not_nothing() -> None:
    words = in_words(job_view(RUNNING))

    assert ("75%", "1,500/2,000", "10 failed", "400 cached") == tuple(
        words[name] for name in ("percent", "records", "failed", "cached")
    )
    assert ("Suspended", "1,204/s", "4s left") == tuple(words[name] for name in ("state", "rate", "eta"))
    assert {"Pending", "", "0/?"} == set(in_words(job_view(JOB)).values())


def test_details_of_a_job_tell_of_cache_retries_dead_letters_and_attempts() -> None:
    details = dict(job_details(job_view(RUNNING)))

    assert "400 from the cache, 3 tried again" == details["Of them"]
    assert ("15 of 20, 0 at work", 2) == (details["Tasks"], details["Attempt"])
    assert "2 records" in str(details["Dead letters"])


def test_what_was_not_counted_is_not_told() -> None:
    assert not {"Of them", "Tasks", "Dead letters", "Attempt"} & dict(job_details(job_view(JOB))).keys()


def test_a_dead_letter_is_told_by_its_record_or_by_how_it_begins() -> None:
    record = {"job": "ns/digits", "shard": 3, "key": "scan-7", "line": 1544, "error": "PoisonMessage"}
    letter = {"bodyPreview": "x" * 100, "bodyBytes": 100}

    assert "ns/digits: scan-7, line 1544" == about({**letter, "record": record})
    assert "ns/digits: shard 3" == about({**letter, "record": {**record, "key": "", "line": None}})
    # A gateway of an earlier version says nothing of records.
    assert "x" * 60 + "…" == about(letter)


@pytest.mark.parametrize(
    ("output", "uri"),
    [
        ({"persistentVolumeClaim": {"claimName": "digits", "path": "output/a/"}}, "pvc://digits/output/a"),
        ({"objectStore": {"uri": "s3://lake/a"}}, "s3://lake/a"),
        ({"redis": {}}, ""),
    ],
)
def test_results_that_are_files_have_a_place(output: dict[str, Any], uri: str) -> None:
    assert uri == files_uri(output)


def test_without_a_ready_pod_of_the_system_pool_files_cannot_be_read() -> None:
    with pytest.raises(Unavailable, match="no pod of the system pool is ready in namespace 'ns'"):
        list(result_lines(FakeCluster(pods=[pod(is_ready=False)]), "s3://a/b", is_failed=False))  # type: ignore[arg-type] # as above


def test_a_pool_whose_queue_cannot_be_read_has_unknown_counts() -> None:
    view = pool_view({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"queue": "q"}, "status": {"replicas": 0}})

    assert (0, None) == (view["replicas"], view["readyReplicas"])
    assert {None} == set(view["queue"].values())


def test_the_gateway_is_found_with_its_key_and_the_port_of_its_pod() -> None:
    secret = {"metadata": {"name": "keys"}, "data": {"admin-api-key": base64.b64encode(b"found\n").decode()}}
    cluster = FakeCluster([service()], [pod(is_ready=False), pod("gateway-2")], [secret])

    with open_gateway(cluster) as client:
        http = client.connection._http  # noqa: SLF001 - what is sent is the point
        assert "Bearer found" == http.headers["Authorization"]
        backend = http._transport._pool._network_backend  # noqa: SLF001 - as above
        assert ("gateway-2", 8123) == (backend._pod, backend._port)  # noqa: SLF001 - as above


def test_a_key_that_is_given_goes_before_the_one_that_is_found() -> None:
    with open_gateway(FakeCluster([service(target=8000)], [pod()]), "given") as client:
        assert "Bearer given" == client.connection._http.headers["Authorization"]  # noqa: SLF001 - as above


@pytest.mark.parametrize(
    ("cluster", "error", "words"),
    [
        (FakeCluster(), NotFound, "no gateway in namespace 'ns'"),
        (FakeCluster([service("a"), service("b")]), UsageInvalid, "--release: a, b"),
        (FakeCluster([service()], [pod(is_ready=False)]), Unavailable, r"no pod of the gateway is ready \(1 exist\)"),
    ],
)
def test_a_gateway_that_cannot_be_found_is_told_with_what_to_do(
    cluster: FakeCluster, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        open_gateway(cluster)


@pytest.mark.parametrize(("seconds", "words"), [(5, "5s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")])
def test_ages_are_short(seconds: int, words: str) -> None:
    created = datetime(2026, 1, 1, tzinfo=UTC)

    assert words == age(created.isoformat(), at=datetime.fromtimestamp(created.timestamp() + seconds, UTC))


def test_a_line_of_the_log_has_its_event_first_and_its_fields_behind() -> None:
    line = {"timestamp": "T", "level": "info", "event": "shard done", "uid": "u1", "job": "d", "pod": "p", "shard": 3}

    assert "T info    p shard done shard=3" == job_logs.shown_line(line)


class LoggingCluster(FakeCluster):
    """A worker with Triton beside it, and the operator; the pool is gone."""

    def get(self, plural: str, name: str) -> dict[str, Any]:
        """Find nothing."""
        raise NotFound(f"there is no {plural} {name}")

    def log_lines(self, pod: str, container: str, **_: int | None) -> list[str]:
        """Answer what was logged."""
        return {
            ("worker-1", "worker"): [
                '{"timestamp": "2026-01-01T00:00:02Z", "event": "plan published", "uid": "u1", "job": "digits"}',
                '{"timestamp": "2026-01-01T00:00:02Z", "event": "of another job", "uid": "u2", "job": "digits"}',
                "a line of a library",
            ],
            ("operator-1", "operator"): [
                '{"timestamp": "2025-12-31T00:00:00Z", "event": "of an earlier one", "job": "ns/digits"}',
                '{"timestamp": "2026-01-01T00:00:01Z", "event": "submitted", "job": "ns/digits"}',
            ],
        }[pod, container]


def test_a_jobs_log_is_what_workers_and_operator_say_of_this_very_job_in_order() -> None:
    pods = [
        {"metadata": {"name": name}, "spec": {"containers": [{"name": each} for each in containers]}}
        for name, containers in (("worker-1", ("triton", "worker")), ("operator-1", ("operator",)))
    ]

    lines = job_logs.job_lines(LoggingCluster(pods=pods), JOB, since_seconds=None)  # type: ignore[arg-type] # as above

    assert [("operator-1", "submitted"), ("worker-1", "plan published")] == [
        (line["pod"], line["event"]) for line in lines
    ]
