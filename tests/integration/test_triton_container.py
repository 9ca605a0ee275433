"""The Triton container of the chart goes when its pod goes, at once while it loads, else after what it has begun.

What runs is the command that the chart renders. Process 1 of a container hears no signal that it has no handler for,
and Triton has one only when its models are loaded: a pod that is not needed any more would hold its GPU for the whole
grace.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from containers import Container, docker, free_port
from rendered_charts import digits_pool, find, render
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult
from waiters import wait_until
from web import says_yes

NEVER_LOADED: Final = """
import threading


class TritonPythonModel:
    def initialize(self, args):
        threading.Event().wait()
"""

ONE_OF_TWO_SECONDS: Final = """
import threading

import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        print("has begun", flush=True)
        threading.Event().wait(2)
        tensors = [pb.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [pb.InferenceResponse([pb.Tensor("y", tensor)]) for tensor in tensors]
"""

CONFIGURATION: Final = """
name: "model"
backend: "python"
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""

MakeTriton = Callable[[str], Container]


def _command() -> list[str]:
    pod = find(render(digits_pool()), "Deployment", "r-worker-digits")["spec"]["template"]["spec"]
    triton = pod["initContainers"][0]
    return [*triton["command"], "--model-repository=/models", *triton["args"][1:]]


@pytest.fixture
def make_triton(tmp_path: Path) -> Iterator[MakeTriton]:
    """Start Triton with one model, given as its program, as process 1 of a container."""
    version = tmp_path / "model" / "1"
    version.mkdir(parents=True)
    # Triton is another user.
    tmp_path.chmod(0o755)
    (version.parent / "config.pbtxt").write_text(CONFIGURATION, encoding="utf-8")
    container = Container(
        "millrace/triton:dev",
        ports={8000: free_port(), 8001: free_port()},
        command=_command(),
        options=[f"--volume={tmp_path}:/models:ro", "--shm-size=64m"],
    )

    def make(program: str) -> Container:
        (version / "model.py").write_text(program, encoding="utf-8")
        container.create()
        return container

    yield make
    container.remove()


def _wait_for_line(triton: Container, line: str) -> None:
    wait_until(lambda: line in triton.last_lines(), what=f"Triton to say {line!r}", explain=triton.last_lines)


def _tell_to_end(triton: Container) -> None:
    docker("kill", "--signal=TERM", triton.name)


def _status_at_its_end(triton: Container) -> int:
    wait_until(lambda: not triton.is_running(), what="Triton to end", timeout_seconds=30, explain=triton.last_lines)
    return int(json.loads(docker("inspect", triton.name))[0]["State"]["ExitCode"])


def test_a_triton_that_loads_its_models_ends_when_it_is_told_to(make_triton: MakeTriton) -> None:
    triton = make_triton(NEVER_LOADED)
    _wait_for_line(triton, "loading: model:1")

    _tell_to_end(triton)

    assert 128 + 15 == _status_at_its_end(triton)


def test_a_triton_that_serves_answers_what_it_has_begun_and_ends_well(make_triton: MakeTriton) -> None:
    triton = make_triton(ONE_OF_TWO_SECONDS)
    ready = f"http://127.0.0.1:{triton.ports[8000]}/v2/health/ready"
    wait_until(lambda: says_yes(ready), what="Triton", explain=triton.last_lines)
    client = InferenceServerClient(f"127.0.0.1:{triton.ports[8001]}")
    tensor = InferInput("x", [1], "FP32")
    tensor.set_data_from_numpy(np.array([7], dtype=np.float32))

    def ask() -> InferResult:
        return client.infer("model", [tensor], client_timeout=30)

    with ThreadPoolExecutor() as threads:
        answer = threads.submit(ask)
        _wait_for_line(triton, "has begun")
        _tell_to_end(triton)
        assert 0 == _status_at_its_end(triton)
        assert [7] == answer.result().as_numpy("y").tolist()


def test_a_triton_that_cannot_load_says_so_with_its_own_status(make_triton: MakeTriton) -> None:
    triton = make_triton("not a program")

    assert 1 == _status_at_its_end(triton)
