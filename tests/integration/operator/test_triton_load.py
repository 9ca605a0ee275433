"""What the operator reads of a real Triton's counters."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
from containers import Container, free_port
from waiters import wait_until

from millrace_operator.api.worker_pool import TritonReference
from millrace_operator.clock import Clock
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.observation.triton import TritonLoads

KEY = ("ml", "digits")
AWAY = ("ml", "away")


def infer(triton: Container) -> int:
    """Ask the model that takes 50 ms, one request after the other."""
    records = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}
    url = f"http://127.0.0.1:{triton.ports[8000]}/v2/models/slow/infer"
    return httpx.post(url, json={"inputs": [records]}, timeout=60, trust_env=False).status_code


def test_a_triton_is_saturated_while_requests_wait_longer_than_they_are_computed(
    triton: Container, runner: asyncio.Runner
) -> None:
    loads = TritonLoads(timeout_seconds=10.0, clock=Clock())
    targets = {
        KEY: (TritonReference(metrics_url=f"http://localhost:{triton.ports[8002]}/metrics"), ()),
        AWAY: (TritonReference(metrics_port=free_port()), ("127.0.0.1",)),
    }
    requests: list[Future[int]] = []

    def saturated() -> InferenceLoad | None:
        load = known()
        return load if load is not None and load.is_saturated else None

    def known() -> InferenceLoad | None:
        found = runner.run(loads.loads(targets))
        assert found[AWAY] is None
        return found[KEY]

    with ThreadPoolExecutor(max_workers=8) as clients:
        try:
            before = wait_until(known, what="two reads of Triton")
            requests += (clients.submit(infer, triton) for _ in range(400))
            load = wait_until(saturated, what="Triton to be saturated")
        finally:
            clients.shutdown(cancel_futures=True)
            runner.run(loads.close())

    assert not before.is_saturated
    assert {200} == {request.result() for request in requests if not request.cancelled()}
    assert 0.05 <= load.compute_seconds < load.queue_seconds
    assert load.requests_per_second > 0
