import io
from dataclasses import replace

from rich.console import Console

from millrace_demo.job_view import JobView
from millrace_demo.pool_history import PoolSample
from millrace_demo.progress import MovingBar, PlainLines, display_for, pace_in_words, pods_in_words, records_in_words

JOB = JobView(
    uid="u",
    state="Running",
    total=540,
    succeeded=255,
    failed=1,
    tasks_total=54,
    throughput="1,180/s",
    eta="1s",
    has_succeeded=None,
    reason="",
    message="",
    activity="4 of 54 tasks are done.",
)
POOL = PoolSample(seconds=1.0, desired=4, pods=4, ready=1)


def lines_of(*shown: tuple[float, JobView]) -> list[str]:
    written = io.StringIO()
    lines = PlainLines(Console(file=written))
    for seconds, job in shown:
        lines.show(job=job, pool=POOL, seconds=seconds)
    return [" ".join(line.split()) for line in written.getvalue().splitlines()]


def test_a_log_gets_one_line_for_each_change() -> None:
    lines = lines_of((1.0, JOB), (2.0, JOB), (3.0, replace(JOB, state="Succeeded")))
    assert ["1.0 s Running", "3.0 s Succeeded"] == [line.split(" 256")[0] for line in lines]


def test_a_log_says_what_a_job_waits_for_when_nothing_changes() -> None:
    lines = lines_of(*((float(second), JOB) for second in range(0, 45, 5)))
    assert ["20.0 s 4 of 54 tasks are done.", "40.0 s 4 of 54 tasks are done."] == lines[1:]


def test_a_terminal_gets_a_bar_and_anything_else_lines() -> None:
    terminal, log = Console(file=io.StringIO(), force_terminal=True), Console(file=io.StringIO())
    assert (MovingBar, PlainLines) == (type(display_for(terminal)), type(display_for(log)))


def test_a_bar_shows_records_pods_and_pace() -> None:
    written = io.StringIO()
    with MovingBar(Console(file=written, force_terminal=True, width=140)) as bar:
        bar.show(job=JOB, pool=POOL, seconds=3.0)
    assert "256/540 records, 1 failed  1/4 pods  1,180/s, 1s left" in written.getvalue()


def test_an_unknown_total_is_a_question_mark() -> None:
    assert "0/? records" == records_in_words(replace(JOB, total=None, succeeded=0, failed=0))


def test_pods_that_are_wished_but_not_made_count_as_not_ready() -> None:
    assert "0/4 pods" == pods_in_words(PoolSample(seconds=0.0, desired=4, pods=0, ready=0))


def test_a_pool_that_was_not_seen_is_not_spoken_of() -> None:
    assert "" == pods_in_words(PoolSample(seconds=0.0))


def test_an_unknown_pace_is_not_spoken_of() -> None:
    assert "" == pace_in_words(replace(JOB, throughput="", eta=""))
