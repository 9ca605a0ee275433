"""The command line against an installation, with nothing but a kubeconfig."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from command_line import Cli, command_line, printed
from installation import Platform
from prediction_jobs import KIND, inline, job, submit
from waiters import wait_until

SCAN = {"pixels": [0] * 64}
SCANS = 20


@pytest.fixture(scope="module")
def cli(platform: Platform) -> Cli:
    """Run a command as a user of the installation's namespace does."""
    return command_line(platform)


@pytest.fixture(scope="module")
def finished(platform: Platform) -> Iterator[str]:
    """A job with results in Redis, submitted and not yet awaited."""
    scans = ({"key": f"scan-{number:02d}", **SCAN} for number in range(SCANS))
    name = submit(platform, job("cli-results", inline(*scans)))
    yield name
    platform.kubectl.delete(KIND, name)


# The pool wakes once, for the job and for this.
@pytest.mark.usefixtures("finished")
def test_a_record_is_predicted_through_the_tunnel(cli: Cli) -> None:
    answer = printed(cli("predict", "digits", "--inputs", json.dumps(SCAN), "--wait", "60", "--output=json"))

    assert ("Succeeded", "digits") == (answer["state"], answer["model"])
    assert {"label"} <= answer["outputs"].keys()


def test_a_job_is_awaited_and_its_results_are_read(cli: Cli, finished: str) -> None:
    waited = printed(cli("jobs", "wait", finished, "--timeout=90", "--output=json"))
    results = cli("jobs", "results", finished)

    assert (True, SCANS) == (waited["succeeded"], waited["records"]["succeeded"])
    keys = [json.loads(line)["key"] for line in results.stdout.splitlines()]
    assert [f"scan-{number:02d}" for number in range(SCANS)] == sorted(keys), results.stderr


def test_a_job_that_waits_is_cancelled_and_gone(cli: Cli, platform: Platform) -> None:
    name = submit(platform, job("cli-cancel", inline({"key": "scan", **SCAN}), pool="nowhere"))

    assert 124 == cli("jobs", "wait", name, "--timeout=1").returncode
    assert 0 == cli("jobs", "cancel", name, "--yes").returncode

    wait_until(lambda: platform.kubectl.get(KIND, name) is None, what="the job to be gone")
    shown = cli("jobs", "show", name)
    assert 3 == shown.returncode
    assert 1 == len(shown.stderr.strip().splitlines())
    assert name in shown.stderr


def test_results_on_a_claim_are_read_by_the_system_pool(cli: Cli, platform: Platform) -> None:
    name = submit(platform, job("cli-claim", inline({"key": "good", **SCAN}, {"key": "bad"}), to_claim=True))
    cli("jobs", "wait", name, "--timeout=90")

    results, failures = cli("jobs", "results", name), cli("jobs", "results", name, "--failed")

    assert ["good"] == [json.loads(line)["key"] for line in results.stdout.splitlines()], results.stderr
    assert ["bad"] == [json.loads(line)["key"] for line in failures.stdout.splitlines()], failures.stderr
    assert 0 == cli("jobs", "delete", name, "--yes").returncode


def test_a_job_rests_until_it_is_resumed(cli: Cli, platform: Platform) -> None:
    name = submit(platform, job("cli-rest", inline({"key": "scan", **SCAN}), suspend=True))
    wait_until(
        lambda: printed(cli("jobs", "show", name, "--output=json"))["state"] == "Suspended", what="the job to rest"
    )

    assert 0 == cli("jobs", "resume", name).returncode

    assert 0 == cli("jobs", "wait", name, "--timeout=90").returncode
    platform.kubectl.delete(KIND, name)


def test_a_pool_is_explained_in_the_operators_own_words(cli: Cli, platform: Platform) -> None:
    explained = printed(cli("pools", "explain", "digits", "--output=json"))
    decision = platform.pool("digits")["status"]["lastDecision"]

    assert explained["lastDecision"]["reason"]
    assert explained["lastDecision"].keys() >= decision.keys()
    assert [event["reason"] for event in explained["history"]]


def test_kubectl_finds_the_same_commands(cli: Cli) -> None:
    done = cli("pools", "list", "--output=name", program=("kubectl", "millrace"))

    assert 0 == done.returncode, done.stderr
    assert "workerpool/digits" in done.stdout.splitlines()


def test_a_dead_letter_is_seen_and_thrown_away(cli: Cli, platform: Platform) -> None:
    platform.publish_raw("system", b'[[], {"payload": "no payload"}, {}]')

    def letters() -> list[Any]:
        found: list[Any] = printed(cli("dlq", "show", "system", "--output=json"))["items"]
        return found

    def ours() -> list[Any]:
        return [each for each in letters() if "no payload" in each["bodyPreview"]]

    (letter,) = wait_until(ours, what="the dead letter", timeout_seconds=120)
    assert "rejected" == letter["reason"]
    assert 0 == cli("dlq", "purge", "system", "--all", "--yes").returncode
    assert [] == letters()
