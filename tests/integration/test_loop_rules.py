"""Rules that hold for whoever breaks them: odd text, deep lists, a step that interrupts, a gateway that is killed."""

import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_process import GatewayProcess
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.pipelines import PipelineRun, RunPipeline, RunState
from millrace_contracts.predictions import PREDICT, prediction_key
from millrace_contracts.tasks import RUN_PIPELINE
from millrace_worker.clock import seconds_since_epoch
from millrace_worker.pipeline.runs import Runs

SUPPORT = Path(__file__).parents[1] / "support"
HALF_OF_A_PAIR = "\\ud800"
"""As JSON writes it."""


@pytest.fixture(scope="module")
def pool(make_platform: Callable[[Path], Platform], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = make_platform(tmp_path_factory.mktemp("rules"))
    pipelines = platform.folder / "pipelines.json"
    steps = "pipeline_steps"
    pipeline = {
        "name": "interrupted",
        "model": "interrupted",
        "queue": platform.queue,
        "preprocess": {"function": f"{steps}.interrupt"},
        "train": {"function": f"{steps}.train"},
        "evaluate": {"function": f"{steps}.evaluate", "metric": "quality"},
        "publish": {"repository": "claim:data/models", "tritons": {"urls": ["127.0.0.1:1"]}},
        "artifacts": "claim:data/artifacts",
    }
    pipelines.write_text(json.dumps([pipeline]))
    try:
        platform.worker(PYTHONPATH=str(SUPPORT), MILLRACE_PIPELINES_FILE=str(pipelines))
        yield platform
    finally:
        platform.close()


def ask(pool: Platform, x: str) -> str:
    """Publish a prediction of a record whose field is written as given; answers the id of the record."""
    item = uuid.uuid4().hex
    arguments = (
        f'{{"payload": {{"model": {{"name": "identity"}}, "items": [{{"id": "{item}", "record": {{"x": {x}}}}}]}}}}'
    )
    body = f'[[], {arguments}, {{"callbacks": null, "errbacks": null, "chain": null, "chord": null}}]'
    headers = {"lang": "py", "task": PREDICT, "id": item, "root_id": item, "ignore_result": True}
    pool.publish_raw(body.encode(), content_type="application/json", headers=headers)
    return item


def test_half_of_a_surrogate_pair_fails_its_record_and_no_other(pool: Platform) -> None:
    lines = [
        '{"key": "first", "x": [1, 2]}',
        f'{{"key": "{HALF_OF_A_PAIR}", "x": [1, 2]}}',
        f'{{"key": "label", "x": [1, 2], "label": "{HALF_OF_A_PAIR}"}}',
        '{"key": "last", "x": [3, 4]}',
    ]
    job = pool.submit(pool.spec(key_field="key", records_per_task=4), pool.write_input(lines))

    job.wait_until_finalized()

    assert (4, 2, 2) == job.counts
    assert {"first", "last"} == set(job.results)


def test_a_message_that_is_nested_too_deep_is_kept_aside_and_the_slots_go_on(pool: Platform) -> None:
    before = pool.dead_letters()
    # As many as the worker has slots, and one more.
    for levels in (600, 900, 900):
        ask(pool, "[" * levels + "]" * levels)
    answered = ask(pool, "[1, 2]")

    wait_until(
        lambda: "Succeeded" in str(pool.redis.get(prediction_key(answered))),
        what="the answer to the message behind them",
        explain=pool.logs,
    )
    wait_until(lambda: pool.dead_letters() == before + 3, what="three dead letters", explain=pool.logs)


def test_a_step_that_interrupts_its_process_ends_its_run_with_the_reason(pool: Platform) -> None:
    payload = RunPipeline(pipeline="interrupted", run_id="run-1", requested_by="test")
    pool.publish(RUN_PIPELINE, {"payload": payload.model_dump(mode="json")}, "run-1")

    def ended() -> PipelineRun | None:
        runs = Runs(pool.redis, now=seconds_since_epoch, lease_seconds=1).read("interrupted")
        return next((run for run in runs if run.state is not RunState.RUNNING), None)

    run = wait_until(ended, what="the end of the run", explain=pool.logs)
    assert (RunState.FAILED, "preprocess-0000 failed: KeyboardInterrupt: enough") == (run.state, run.message)


def test_what_a_killed_replica_accepted_is_answered_by_another(pool: Platform, tmp_path: Path) -> None:
    config = {"models": [{"name": "identity", "queue": pool.queue}]}
    killed, other = (
        GatewayProcess(pool.broker_url, pool.redis_url, tmp_path / name, config) for name in ("killed", "other")
    )
    try:
        killed.start()
        other.start()
        accepted = {}
        with killed.client() as client:
            for number in range(20):
                answer = client.post("/v1/models/identity/predictions", json={"inputs": {"x": [number, 0]}})
                accepted[answer.json()["predictions"][0]["id"]] = [float(number), 0.0]
        assert killed.process is not None
        os.kill(killed.process.pid, signal.SIGKILL)

        with other.client() as client:
            answers = {name: client.get(f"/v1/predictions/{name}?wait=20").json() for name in accepted}
    finally:
        killed.stop()
        other.stop()
    assert accepted == {name: answer["outputs"]["y"] for name, answer in answers.items()}
