"""Pipelines: a model is made of shards, published while it is asked, refused, taken back, and made once for all."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from containers import Container, free_port
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException
from waiters import wait_until
from web import says_yes
from worker_jobs import Platform

from millrace_contracts.models import ModelVersion, VersionState
from millrace_contracts.pipelines import PipelineRun, PipelineSpec, RunPipeline, RunState, running_key
from millrace_contracts.tasks import RUN_PIPELINE
from millrace_worker.clock import seconds_since_epoch
from millrace_worker.pipeline.errors import StepFailed
from millrace_worker.pipeline.repository import ModelRepository
from millrace_worker.pipeline.runs import Runs
from millrace_worker.pipeline.storage import open_place
from millrace_worker.registry import Registry
from millrace_worker.storage.claims import Claims

STEPS = Path(__file__).parents[1] / "support"
PASSWORD = "integration"


@dataclass
class Line:
    """One pipeline with a model of its own, on a pool that runs it."""

    platform: Platform
    triton: Container
    name: str = field(default_factory=lambda: f"line-{uuid.uuid4().hex[:6]}")
    step_timeout_seconds: int = 60

    @property
    def spec(self) -> dict[str, Any]:
        """The pipeline as the values have it."""
        steps = "pipeline_steps"
        return {
            "name": self.name,
            "model": self.name,
            "queue": self.platform.queue,
            "preprocess": {"function": f"{steps}.preprocess", "shards": f"{steps}:shards"},
            "train": {"function": f"{steps}.train"},
            "evaluate": {"function": f"{steps}.evaluate", "metric": "quality"},
            "publish": {
                "repository": "claim:data/models",
                "tritons": {"urls": [f"127.0.0.1:{self.triton.ports[8001]}"]},
                "loadTimeoutSeconds": 60,
            },
            "artifacts": "claim:data/artifacts",
            "stepTimeoutSeconds": self.step_timeout_seconds,
            "parameters": {"notes": str(self.platform.folder)},
        }

    @property
    def registry(self) -> Registry:
        """What became of the model's versions."""
        return Registry(self.platform.redis, now=seconds_since_epoch)

    def runs(self) -> list[PipelineRun]:
        """The runs so far, the newest first."""
        return Runs(self.platform.redis, now=seconds_since_epoch, lease_seconds=1).read(self.name)

    def start(self, **parameters: Any) -> str:
        """Ask for a run."""
        known = self.platform.folder / "pipelines.json"
        specs = json.loads(known.read_text()) if known.exists() else []
        if self.spec not in specs:
            # Renamed, as Kubernetes does it: a worker may read at any moment.
            (draft := known.with_suffix(".draft")).write_text(json.dumps([*specs, self.spec]))
            draft.replace(known)
        run_id = f"run-{uuid.uuid4().hex[:6]}"
        payload = RunPipeline(pipeline=self.name, run_id=run_id, parameters=parameters, requested_by="test")
        self.platform.publish(RUN_PIPELINE, {"payload": payload.model_dump(mode="json")}, run_id)
        return run_id

    def end_of(self, run_id: str) -> PipelineRun:
        """Wait for the end of a run."""

        def ended() -> PipelineRun | None:
            found = [run for run in self.runs() if run.run_id == run_id and run.state is not RunState.RUNNING]
            return found[0] if found else None

        return wait_until(
            ended,
            what=f"the end of {run_id}",
            timeout_seconds=120,
            interval_seconds=0.05,
            explain=lambda: f"{self.runs()}\n{self.platform.logs()}\n{self.triton.last_lines()}",
        )

    def run(self, **parameters: Any) -> PipelineRun:
        """Run it and wait for its end."""
        return self.end_of(self.start(**parameters))

    def version(self, version: str) -> ModelVersion:
        """What the registry says of a version."""
        return {each.version: each for each in self.registry.versions(self.name)}[version]

    def answer(self) -> float:
        """Ask the model for what it makes of 1."""
        with InferenceServerClient(f"127.0.0.1:{self.triton.ports[8001]}") as client:
            return ask(client, self.name)

    def folders(self) -> list[str]:
        """The version folders of the model."""
        folder = self.platform.claim / "models" / self.name
        return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []

    def trainings(self, run_id: str) -> int:
        """How often train was called in a run."""
        notes = self.platform.folder / f"{run_id}.txt"
        return notes.read_text().count("train ") if notes.exists() else 0


def ask(client: Any, model: str) -> float:
    tensor = InferInput("x", [1], "FP32")
    tensor.set_data_from_numpy(np.array([1], dtype=np.float32))
    return float(client.infer(model, [tensor], client_timeout=30).as_numpy("y")[0])


@pytest.fixture(scope="module")
def explicit_triton(pool: Platform) -> Iterator[Container]:
    """Triton that loads what it is told to, from the folder that the workers write."""
    models = pool.claim / "models"
    models.mkdir(mode=0o755)
    container = Container(
        image="millrace/triton:dev",
        ports={8001: free_port(), 8000: free_port()},
        command=[
            "tritonserver",
            "--model-repository=/models",
            "--model-control-mode=explicit",
            "--exit-timeout-secs=1",
        ],
        options=[f"--volume={models}:/models:ro", "--shm-size=64m"],
    )
    container.create()
    try:
        client = InferenceServerClient(f"127.0.0.1:{container.ports[8001]}")

        def is_ready() -> bool:
            try:
                return bool(client.is_server_ready())
            except InferenceServerException:
                return False

        wait_until(is_ready, what="Triton", explain=container.last_lines)
        client.close()
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="module")
def pool(rabbitmq: Container, redis: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A pool whose workers have the steps, and which is the system pool as well."""
    platform = Platform(
        broker_url=f"amqp://worker:{PASSWORD}@127.0.0.1:{rabbitmq.ports[5672]}/millrace",
        redis_url=f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/0",
        triton_url="",
        queue=f"pool-{uuid.uuid4().hex[:8]}",
        folder=tmp_path_factory.mktemp("pipelines"),
    )
    try:
        start_worker(platform)
        yield platform
    finally:
        platform.close()


def start_worker(platform: Platform) -> None:
    platform.worker(
        concurrency=2,
        PYTHONPATH=str(STEPS),
        MILLRACE_PIPELINES_FILE=str(platform.folder / "pipelines.json"),
        MILLRACE_PIPELINE_LEASE_SECONDS="2",
    )


@pytest.fixture
def line(pool: Platform, explicit_triton: Container) -> Line:
    return Line(pool, explicit_triton)


@contextmanager
def asked_all_the_time(line: Line) -> Iterator[Callable[[], list[float]]]:
    """Ask the model one request after the other; an error is raised at the end."""
    answers: list[float] = []
    errors: list[Exception] = []
    over = threading.Event()

    def go_on() -> None:
        with InferenceServerClient(f"127.0.0.1:{line.triton.ports[8001]}") as client:
            while not over.is_set():
                try:
                    answers.append(ask(client, line.name))
                except InferenceServerException as error:
                    errors.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield lambda: answers
    finally:
        over.set()
        thread.join()
    assert [] == errors


def test_a_better_model_is_published_while_it_is_asked_and_a_worse_one_is_refused(line: Line) -> None:
    first = line.run(factor=2)
    assert (RunState.PUBLISHED, "1") == (first.state, first.version), line.platform.logs()
    assert 2.0 == line.answer()
    assert 3 == line.version("1").metrics["shards"]
    with asked_all_the_time(line) as answers:
        assert RunState.PUBLISHED == line.run(factor=3).state
        assert 3.0 == line.answer()
        worse = line.run(factor=1)
    assert [2.0, 3.0] == sorted(set(answers()))
    assert RunState.REFUSED == worse.state
    refused = line.version(f"run-{worse.run_id}")
    assert (VersionState.REFUSED, 1.0, 3.0) == (refused.state, refused.metrics["quality"], refused.baseline["quality"])
    assert "quality is 1, that of version 2, which serves, is 3" in refused.message
    assert VersionState.SUPERSEDED == line.version("1").state
    assert ("2", ["1", "2"]) == (line.registry.serving(line.name), line.folders())
    # The third good one makes the first folder go: two are kept.
    assert "3" == line.run(factor=4).version
    assert ["2", "3"] == line.folders()


def test_a_step_that_raises_or_hangs_ends_its_run_with_the_reason_and_the_old_model_serves(
    line: Line, pool: Platform, explicit_triton: Container
) -> None:
    hanging = Line(pool, explicit_triton, step_timeout_seconds=4)
    hung = hanging.start(factor=1, train_seconds=3600)
    assert RunState.PUBLISHED == line.run(factor=2).state
    raised = line.run(raises="no purchases since Monday")
    message = "train failed: ValueError: no purchases since Monday"
    assert (RunState.FAILED, message) == (raised.state, raised.message)
    failed = line.version(f"run-{raised.run_id}")
    assert (VersionState.FAILED, message) == (failed.state, failed.message)
    assert "pipeline_steps.py" in pool.workers[-1].log
    assert ("1", 2.0) == (line.registry.serving(line.name), line.answer())
    late = hanging.end_of(hung)
    assert (RunState.FAILED, "train did not end within stepTimeoutSeconds (4 s)") == (late.state, late.message)
    assert 0 == pool.dead_letters()


def test_a_version_that_a_triton_cannot_load_is_taken_back_and_the_one_before_answers_all_the_time(line: Line) -> None:
    first = line.run(factor=2, broken=True)
    assert RunState.ROLLED_BACK == first.state
    assert "these weights are not for this network" in first.message
    assert [] == line.folders()
    assert ("2", RunState.PUBLISHED) == ((good := line.run(factor=2)).version, good.state)
    with asked_all_the_time(line) as answers:
        broken = line.run(factor=3, broken=True)
        assert 2.0 == line.answer()
    assert {2.0} == set(answers())
    rolled_back = line.version("3")
    assert (RunState.ROLLED_BACK, VersionState.ROLLED_BACK) == (broken.state, rolled_back.state)
    assert rolled_back.message.endswith("version 2 serves")
    assert ("2", ["2"]) == (line.registry.serving(line.name), line.folders())


def test_a_run_whose_worker_dies_in_train_and_in_publish_goes_on_and_publishes_once(line: Line, pool: Platform) -> None:
    run_id = line.start(factor=2, train_seconds=3, load_seconds=2)
    wait_until(lambda: line.trainings(run_id) == 1, what="train", interval_seconds=0.05, explain=pool.logs)
    pool.workers[-1].kill()
    start_worker(pool)
    wait_until(lambda: line.folders() == ["1"], what="the version folder", interval_seconds=0.05, explain=pool.logs)
    for pid in pool.workers[-1].children():
        os.kill(pid, signal.SIGKILL)
    ended = line.end_of(run_id)
    assert (RunState.PUBLISHED, "1") == (ended.state, ended.version)
    assert 2.0 == line.answer()
    assert ["1"] == [each.version for each in line.registry.versions(line.name)]
    assert 2 == line.trainings(run_id)


def test_a_second_run_is_skipped_the_same_run_twice_is_one_and_a_lost_run_hinders_none(
    line: Line, pool: Platform
) -> None:
    lost_run = Runs(pool.redis, now=seconds_since_epoch, lease_seconds=1)
    lost_run.begin(PipelineSpec.model_validate(line.spec), "lost", requested_by="test")
    pool.redis.delete(running_key(line.name))
    first = line.start(factor=2, train_seconds=4)
    wait_until(lambda: line.trainings(first) == 1, what="train", interval_seconds=0.05, explain=pool.logs)
    again = RunPipeline(pipeline=line.name, run_id=first, parameters={"factor": 9})
    pool.publish(RUN_PIPELINE, {"payload": again.model_dump(mode="json")}, "again")
    second = line.run(factor=3)
    assert (RunState.SKIPPED, f"skipped: run {first} of this pipeline has not ended") == (second.state, second.message)
    assert RunState.PUBLISHED == line.end_of(first).state
    assert 2.0 == line.answer()
    assert RunState.FAILED == line.end_of("lost").state
    assert 1 == line.trainings(first)


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """An S3-compatible server with a bucket; answers a prefix of it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: says_yes(f"{address}/moto-api/"), what="moto", timeout_seconds=90)
        httpx.put(f"{address}/models", timeout=60).raise_for_status()
        yield "s3://models/some/where"
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_artefacts_and_a_model_repository_lie_in_an_object_store_too(object_store: str, tmp_path: Path) -> None:
    place = open_place(object_store, Claims(tmp_path))
    with place.fill("line/run/train/1") as output:
        (output / "model").mkdir()
        (output / "model" / "model.onnx").write_bytes(b"weights")
    place.write_text("line/run/train/done.json", "{}")
    assert ("{}", None) == (place.read_text("line/run/train/done.json"), place.read_text("nothing.json"))
    repository = ModelRepository(place)
    for version in (1, 2, 3):
        with place.fetch("line/run/train/1") as folder:
            repository.put("clicks", version, folder / "model", config=f"# {version}")
    assert ([1, 2, 3], "# 3") == (repository.versions("clicks"), repository.config("clicks"))
    repository.withdraw("clicks", 3, config="# 2")
    assert ([1, 2], "# 2") == (repository.versions("clicks"), repository.config("clicks"))
    assert [1] == repository.keep_only("clicks", 1, also=["2"])
    with repository.fetch("clicks", "2") as folder:
        assert b"weights" == (folder / "model.onnx").read_bytes()
    repository.withdraw("clicks", 2, config=None)
    assert ([], None) == (repository.versions("clicks"), repository.config("clicks"))
    with pytest.raises(StepFailed, match="removed by hand"), place.fetch("line/run/train/2"):
        pass
