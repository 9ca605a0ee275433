"""The loop that somebody writes by hand: `tritonclient` with requests in flight, no queue, no files, no counting.

It is the measure of what a Triton and the cores beside it allow. Each process has its own connection, and all of them
begin at the same moment.
"""

import multiprocessing
import threading
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import BrokenBarrierError
from typing import Any, Final

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput

from millrace_loadtest.jobs.models import WIDTH
from millrace_loadtest.live.watching import now

START_LIMIT_SECONDS: Final = 60.0
END_LIMIT_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What each process sends."""

    url: str
    model: str
    records: int
    batch: int
    in_flight: int
    width: int = WIDTH


def records_a_second(loop: Loop, *, processes: int) -> float:
    """Answer the records a second of so many processes together."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(processes + 1)
    running = [context.Process(target=_run, args=(loop, gate), daemon=True) for _ in range(processes)]
    for process in running:
        process.start()
    gate.wait(START_LIMIT_SECONDS)
    began = now()
    # A process that ends takes a while, and that is none of the loop.
    with suppress(BrokenBarrierError):
        gate.wait(END_LIMIT_SECONDS)
    seconds = now() - began
    for process in running:
        process.join(END_LIMIT_SECONDS)
    if any(process.exitcode != 0 for process in running):
        raise RuntimeError("a process of the raw loop failed; its messages are above")
    return processes * loop.records / seconds


def _run(loop: Loop, gate: Any) -> None:
    """Send all, after everybody is ready; the first request, which opens the connection, is not counted."""
    tensor = np.random.default_rng(5).standard_normal((loop.batch, loop.width)).astype(np.float32)
    with InferenceServerClient(loop.url) as client:
        client.infer(loop.model, [_input(tensor)])
        gate.wait(START_LIMIT_SECONDS)
        try:
            _send_all(client, loop, tensor)
        except BaseException:
            gate.abort()
            raise
        gate.wait(END_LIMIT_SECONDS)


def _send_all(client: InferenceServerClient, loop: Loop, tensor: Any) -> None:
    free = threading.Semaphore(loop.in_flight)
    problems: SimpleQueue[Exception] = SimpleQueue()

    def answered(result: Any, error: Exception | None) -> None:
        if error is None:
            result.as_numpy("score")
        else:
            problems.put(error)
        free.release()

    for _ in range(loop.records // loop.batch):
        free.acquire()
        client.async_infer(loop.model, [_input(tensor)], answered)
    for _ in range(loop.in_flight):
        free.acquire()
    if not problems.empty():
        raise problems.get()


def _input(tensor: Any) -> InferInput:
    given = InferInput("x", list(tensor.shape), "FP32")
    given.set_data_from_numpy(tensor)
    return given
