"""The example apps as their README starts them, before a real gateway, worker and model; asked as a browser asks."""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from commands import PROJECT_ROOT
from containers import free_port
from gateway_process import PREDICT_KEY, GatewayProcess
from waiters import wait_until
from worker_jobs import Platform

EXAMPLES = PROJECT_ROOT / "examples"
OUTPUTS = re.compile(r'<pre id="outputs">(.*?)</pre>', re.DOTALL)
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')

Start = Callable[..., str]


@contextmanager
def running(command: list[str], folder: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run a program in a folder of the examples."""
    binary = Path(sys.executable).parent / command[0]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(binary), *command[1:]],
            cwd=EXAMPLES / folder,
            env={**os.environ, **environment},
            stdout=stream,
            stderr=stream,
            stdin=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def environment(pool: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    config = {"models": [{"name": "identity", "queue": pool.queue}], "pools": [pool.queue]}
    gateway = GatewayProcess(pool.broker_url, pool.redis_url, tmp_path_factory.mktemp("gateway"), config)
    gateway.start()
    try:
        yield {
            "MILLRACE_URL": gateway.url,
            "MILLRACE_API_KEY": PREDICT_KEY,
            "MILLRACE_MODEL": "identity",
            "DJANGO_SECRET_KEY": "of-a-test",
        }
    finally:
        gateway.stop()


@pytest.fixture(scope="module", params=["flask", "django"])
def site(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A browser with the site open."""
    port = str(free_port())
    command = {
        "flask": ["flask", "--app", "app", "run", f"--port={port}"],
        "django": ["uvicorn", "predictions.asgi:application", f"--port={port}"],
    }[request.param]
    log = tmp_path_factory.mktemp("site") / "log"
    with (
        running(command, request.param, environment, log),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=40) as browser,
    ):
        wait_until(lambda: is_up(browser), what=request.param, explain=log.read_text)
        yield browser


def is_up(browser: httpx.Client) -> bool:
    try:
        return browser.get("/").status_code == 200
    except httpx.TransportError:
        return False


def send(browser: httpx.Client, inputs: str) -> httpx.Response:
    """Fill the form in and send it."""
    form = browser.get("/").text
    action = re.search(r'action="([^"]+)"', form)
    token = TOKEN.search(form)
    fields = {"inputs": inputs, **({"csrfmiddlewaretoken": token.group(1)} if token else {})}
    return browser.post(action.group(1) if action else "/", data=fields)


def test_what_is_written_into_the_form_comes_back_as_the_models_answer(site: httpx.Client) -> None:
    answer = send(site, '{"x": [1.5, 2.5]}')

    page = wait_until(
        lambda: OUTPUTS.search(site.get(answer.url).text if is_pending(answer) else answer.text), what="outputs"
    )
    assert {"y": [1.5, 2.5]} == json.loads(html.unescape(page.group(1)))


def is_pending(answer: httpx.Response) -> bool:
    return "refresh" in answer.text


@pytest.mark.parametrize("inputs", ["no json", "[1]"])
def test_what_is_no_record_is_the_visitors_mistake_and_the_page_says_so(site: httpx.Client, inputs: str) -> None:
    answer = send(site, inputs)

    assert 400 == answer.status_code
    assert 'role="alert"' in answer.text


def test_a_record_that_the_model_cannot_take_is_told(site: httpx.Client) -> None:
    answer = send(site, '{"z": [1]}')

    # Until the worker has answered, the page says that it is pending.
    wait_until(
        lambda: 'role="alert"' in (site.get(answer.url).text if is_pending(answer) else answer.text), what="the alert"
    )
