"""The command line against an installation, with nothing but a kubeconfig."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from command_line import Cli, command_line, printed
from installation import Platform
from prediction_jobs import KIND, inline, job, slow_job, submit, wait_until_working
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
    assert finished in [item["name"] for item in printed(cli("jobs", "list", "--output=json"))["items"]]


def test_a_running_job_is_cancelled_and_gone(cli: Cli, platform: Platform) -> None:
    name = submit(platform, slow_job("cli-cancel", records=60, seconds_each=1))
    wait_until_working(platform, name)

    assert 2 == cli("jobs", "cancel", name).returncode
    assert 124 == cli("jobs", "wait", name, "--timeout=1").returncode
    assert 0 == cli("jobs", "cancel", name, "--yes").returncode

    wait_until(lambda: platform.kubectl.get(KIND, name) is None, what="the job to be gone")
    assert 3 == cli("jobs", "show", name).returncode


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

    (letter,) = [each for each in wait_until(letters, what="the dead letter") if "no payload" in each["bodyPreview"]]
    assert "rejected" == letter["reason"]
    assert 0 == cli("dlq", "purge", "system", "--all", "--yes").returncode
    assert [] == letters()


def test_a_schedule_lives_from_its_creation_to_its_deletion(cli: Cli) -> None:
    target = ("--task=millrace.none", "--queue=system")
    created = printed(cli("schedule", "create", "cli-test", "--cron=0 3 1 1 *", *target, "--output=json"))
    assert ("user", True) == (created["origin"], created["enabled"])

    assert not printed(cli("schedule", "pause", "cli-test", "--output=json"))["enabled"]
    assert 0 == cli("schedule", "delete", "cli-test", "--yes").returncode

    names = [item["name"] for item in printed(cli("schedule", "list", "--output=json"))["items"]]
    assert "cli-test" not in names


def test_what_does_not_exist_is_told_in_one_sentence(cli: Cli) -> None:
    done = cli("jobs", "show", "no-such-job")

    assert 3 == done.returncode
    assert 1 == len(done.stderr.strip().splitlines())
    assert "no-such-job" in done.stderr
