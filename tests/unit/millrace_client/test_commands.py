"""What a user types, and what becomes of it: output, exit codes, and errors of one sentence."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from gateway_stub import StubGateway, accepted, prediction, records_of, refusal
from typer.testing import CliRunner, Result

from millrace import Client, RetryPolicy
from millrace.cli import program, session

SCHEDULE = {
    "name": "nightly",
    "cron": "0 3 * * *",
    "timeZone": "Europe/Berlin",
    "pipeline": {"name": "recommender", "parameters": {}},
    "enabled": True,
    "origin": "user",
    "lastRunAt": None,
    "nextRunAt": 86_400.0,
    "totalRuns": 3,
}

Run = Callable[..., Result]


@pytest.fixture
def gateway() -> StubGateway:
    return StubGateway()


@pytest.fixture
def run(gateway: StubGateway, monkeypatch: pytest.MonkeyPatch) -> Run:
    def open_client(url: str, *, api_key: str) -> Client:
        transport = httpx.MockTransport(gateway)
        return Client(url, api_key=api_key, retry=RetryPolicy(retries=0), transport=transport)

    monkeypatch.setattr(session, "Client", open_client)
    monkeypatch.setenv("MILLRACE_URL", "http://gateway")
    monkeypatch.setenv("MILLRACE_API_KEY", "very-secret")

    def invoke(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(program.app, list(arguments), input=stdin)

    return invoke


def answers(*bodies: Any) -> list[Any]:
    return [httpx.Response(200, json=body) for body in bodies]


def test_one_record_is_predicted_and_shown(run: Run, gateway: StubGateway) -> None:
    gateway.answers = [accepted(prediction())]

    result = run("predict", "m", "--inputs", '{"x": [1]}', "-o", "json")

    assert 0 == result.exit_code, result.stderr
    assert {"y": [1]} == json.loads(result.stdout)["outputs"]
    assert "Bearer very-secret" == gateway.asked[0].headers["Authorization"]


def test_each_line_of_a_file_has_a_line_of_output_in_the_same_order(
    run: Run, gateway: StubGateway, tmp_path: Path
) -> None:
    gateway.rule = lambda request: accepted(*(prediction(record["n"]) for record in records_of(request)))
    file = tmp_path / "records.jsonl"
    file.write_text("".join(f'{{"n": {number}}}\n' for number in range(80)))

    result = run("predict", "m", "-f", str(file))

    assert [f"p{number}" for number in range(80)] == [json.loads(line)["id"] for line in result.stdout.splitlines()]
    assert 0 == result.exit_code


def test_a_failed_record_of_a_file_fails_the_command_after_all_others_are_answered(
    run: Run, gateway: StubGateway
) -> None:
    failed = prediction(2, state="Failed", error={"code": "InvalidRecord", "message": "x is missing"})
    gateway.answers = [accepted(prediction(1), failed, prediction(3))]

    result = run("predict", "m", "-f", "-", stdin="{}\n\n{}\n{}\n")

    assert 1 == result.exit_code
    assert 3 == len(result.stdout.splitlines())
    assert "1 of 3 predictions" in result.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal(404, "NotFound", "there is no model m"), 3),
        (refusal(403, "Forbidden", "not with this key"), 4),
        (refusal(422, "RequestInvalid", "x is missing"), 5),
        (refusal(503, "Unavailable", "try again later"), 6),
        (httpx.ConnectError("refused"), 6),
        (accepted(prediction(state="Failed", error={"code": "E", "message": "broken"})), 1),
    ],
)
def test_the_exit_code_tells_what_went_wrong_and_one_sentence_says_it(
    run: Run, gateway: StubGateway, answer: Any, code: int
) -> None:
    gateway.answers = [answer]

    result = run("predict", "m", "--inputs", "{}")

    assert code == result.exit_code
    assert 1 == len(result.stderr.strip().splitlines())
    assert result.stderr.startswith("Error: ")
    assert "very-secret" not in result.output


def test_an_answer_that_does_not_come_in_time_has_the_code_of_timeouts(run: Run, gateway: StubGateway) -> None:
    pending = prediction(state="Pending")
    gateway.rule = lambda request: (
        accepted(pending, status=202) if request.method == "POST" else httpx.Response(200, json=pending)
    )

    assert 124 == run("predict", "m", "--inputs", "{}", "--wait", "0.01").exit_code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("predict", "m"), "exactly one of --inputs, --file and --id"),
        (("predict", "m", "--inputs", "[1]"), "must be an object"),
        (("predict", "m", "--inputs", "{"), "is not JSON"),
        (("predict", "m", "-f", "/nowhere/x.jsonl"), "cannot be read"),
        (("predict", "m", "--inputs", "{}", "-p", "x"), "NAME=VALUE"),
        (("dlq", "redrive", "q"), "--all or --task-id"),
        (("dlq", "purge", "q", "--all"), "add --yes"),
        (("schedule", "create", "s", "--every", "5"), "exactly one of --pipeline, --job and --task"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(
    run: Run, gateway: StubGateway, arguments: tuple[str, ...], words: str
) -> None:
    result = run(*arguments)

    assert 2 == result.exit_code
    assert words in result.stderr
    assert [] == gateway.asked


def test_a_list_has_the_same_items_in_each_form(run: Run, gateway: StubGateway) -> None:
    gateway.answers = answers(*[{"items": [SCHEDULE]}] * 4)

    assert {"items": [SCHEDULE]} == json.loads(run("schedule", "list", "-o", "json").stdout)
    assert {"items": [SCHEDULE]} == yaml.safe_load(run("schedule", "list", "-o", "yaml").stdout)
    assert "schedule/nightly\n" == run("schedule", "list", "-o", "name").stdout
    header, line = run("schedule", "list").stdout.splitlines()
    assert header.startswith("NAME")
    assert "0 3 * * * Europe/Berlin" in line
    assert "pipeline recommender" in line
    assert "1970-01-02 00:00:00 UTC" in line


def test_a_schedule_of_a_job_takes_the_manifest_that_kubectl_takes(
    run: Run, gateway: StubGateway, tmp_path: Path
) -> None:
    manifest = {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "PredictionJob",
        "metadata": {"name": "score", "labels": {"team": "a"}},
        "spec": {"model": {"name": "m"}},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(manifest))
    gateway.answers = answers(SCHEDULE)

    result = run("schedule", "create", "scores", "--every", "3600", "--job", str(tmp_path / "job.yaml"))

    assert 0 == result.exit_code, result.stderr
    template = {"metadata": {"name": "score", "labels": {"team": "a"}}, "spec": {"model": {"name": "m"}}}
    assert {"name": "scores", "everySeconds": 3600, "jobTemplate": template} == json.loads(gateway.asked[0].content)


def test_all_letters_are_redriven_though_one_request_takes_only_some(run: Run, gateway: StubGateway) -> None:
    counts = {"items": [{"queue": "q", "deadLetters": 1500}]}
    gateway.answers = answers(counts, {"redriven": 1000}, {"redriven": 500})

    result = run("dlq", "redrive", "q", "--all")

    assert "1500 dead letters of q sent to work again.\n" == result.stdout
    assert 3 == len(gateway.asked)


def test_letters_that_die_again_at_once_are_not_sent_in_circles(run: Run, gateway: StubGateway) -> None:
    gateway.answers = answers({"items": [{"queue": "q", "deadLetters": 1500}]}, *[{"redriven": 1000}] * 9)

    assert 0 == run("dlq", "redrive", "q", "--all").exit_code
    assert 3 == len(gateway.asked)


def test_a_count_that_is_not_known_is_no_zero(run: Run, gateway: StubGateway) -> None:
    gateway.answers = answers({"items": [{"queue": "q", "deadLetters": None}]})

    assert "no queue yet" in run("dlq", "list").stdout


def test_every_command_has_help_with_an_example(run: Run) -> None:
    for group, names in COMMANDS.items():
        for name in names:
            result = run(*group.split(), name, "--help")
            assert 0 == result.exit_code
            text = re.sub(r"\s+", " ", result.stdout)
            assert f"Example: millrace {f'{group} {name}'.strip()}" in text, (group, name)


COMMANDS = {
    "": ["predict"],
    "jobs": ["list", "show", "wait", "results", "cancel", "logs"],
    "pools": ["list", "explain"],
    "schedule": ["list", "create", "delete", "pause", "resume", "run"],
    "models": ["list", "show"],
    "pipelines": ["list", "runs", "run"],
    "dlq": ["list", "show", "redrive", "purge"],
}


def test_a_prediction_that_is_pending_is_shown_and_can_be_asked_for_by_its_id(run: Run, gateway: StubGateway) -> None:
    pending = prediction(state="Pending")
    gateway.rule = lambda asked: (
        accepted(pending, status=202) if asked.method == "POST" else httpx.Response(200, json=pending)
    )
    first = run("predict", "m", "-o", "json", "-i", "{}", "--wait", "0.001")
    gateway.rule, gateway.answers = None, [httpx.Response(200, json=prediction())]
    second = run("predict", "m", "-o", "json", "--id", "p1")

    assert (124, "Pending") == (first.exit_code, json.loads(first.stdout)["state"])
    assert "millrace predict m --id p1" in first.stderr
    assert (0, "Succeeded") == (second.exit_code, json.loads(second.stdout)["state"])


def test_a_prediction_that_failed_is_json_too(run: Run, gateway: StubGateway) -> None:
    error = {"code": "InvalidRecord", "message": "x is missing"}
    gateway.answers.append(accepted(prediction(state="Failed", error=error)))
    failed = run("predict", "m", "-o", "json", "-i", "{}")

    assert (1, "InvalidRecord") == (failed.exit_code, json.loads(failed.stdout)["error"]["code"])
