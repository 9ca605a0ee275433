"""What a caller does wrong is told to him as such, by both clients and the command line, and never shows the key."""

import asyncio
from typing import Any

import httpx
import pytest
from gateway_stub import StubGateway
from typer.testing import CliRunner

from millrace import AsyncClient, Client, Misconfigured, Refused, Unauthorized
from millrace.cli import program

URL = "http://gateway"
NO_JSON: list[dict[str, Any]] = [{"x": [float("nan")]}, {"x": float("inf")}, {"x": "\ud800"}, {"x": object()}]


@pytest.mark.parametrize("record", NO_JSON)
def test_a_record_that_json_cannot_carry_is_refused_and_not_sent(record: dict[str, Any]) -> None:
    gateway = StubGateway()

    with Client(URL, transport=httpx.MockTransport(gateway)) as client, pytest.raises(Refused, match="JSON"):
        client.predict("m", record)

    assert [] == gateway.asked


def test_the_asynchronous_client_refuses_what_json_cannot_carry_too() -> None:
    async def ask() -> None:
        async with AsyncClient(URL, transport=httpx.MockTransport(StubGateway())) as client:
            await client.predict("m", NO_JSON[0])

    with pytest.raises(Refused, match="JSON"):
        asyncio.run(ask())


def test_the_line_end_of_a_file_is_no_part_of_the_key_in_it() -> None:
    gateway = StubGateway([httpx.Response(200, json={})])
    with Client(URL, api_key="very-secret\n", transport=httpx.MockTransport(gateway)) as client:
        client.cancel("p1")

    assert "Bearer very-secret" == gateway.asked[0].headers["Authorization"]


@pytest.mark.parametrize("key", ["very\nsecret", "very-sécret", "very\x00secret"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        Client(URL, api_key=key)

    assert "very" not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://gateway"])
def test_a_url_that_is_none_is_wrong_usage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_URL", raising=False)

    assert 2 == CliRunner().invoke(program.app, ["models", "list", "--url", url]).exit_code
    with pytest.raises(Misconfigured):
        Client(url)


def test_a_command_that_finds_no_cluster_is_wrong_usage_and_no_defect() -> None:
    # By the option: the library reads the variable once, when it is imported.
    assert 2 == CliRunner().invoke(program.app, ["jobs", "list", "--kubeconfig", "/nonexistent"]).exit_code


def test_inputs_that_json_cannot_carry_are_wrong_input_and_no_defect() -> None:
    arguments = ["predict", "m", "--url", URL, "--inputs", '{"x": [NaN]}']

    assert 5 == CliRunner().invoke(program.app, arguments).exit_code


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_cannot_stand_in_a_path_is_refused_with_the_reason(name: str) -> None:
    answer = CliRunner().invoke(program.app, ["schedule", "run", name, "--url", URL])

    assert (5, True) == (answer.exit_code, "is no name" in answer.output)
