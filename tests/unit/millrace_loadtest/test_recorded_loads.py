from pathlib import Path

import pytest

from millrace_loadtest.errors import InputError
from millrace_loadtest.simulator.trace import ServiceTimes, read_trace
from millrace_loadtest.simulator.workload import Workload


def read(tmp_path: Path, text: str, **service: float | str) -> Workload:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return read_trace(path, service=ServiceTimes(**service))  # type: ignore[arg-type] # each test gives one that fits


def test_times_count_from_the_first_arrival(tmp_path: Path) -> None:
    assert [0.0, 1.5] == read(tmp_path, "at\n100\n101.5\n", seconds=2.0).arrivals


def test_iso_times_with_any_number_of_digits_are_read(tmp_path: Path) -> None:
    text = "TIMESTAMP,n\n2023-11-16 18:17:03.9799600,1\n2023-11-16T18:17:04.9799600,1\n"
    assert [0.0, 1.0] == pytest.approx(read(tmp_path, text, seconds=2.0).arrivals)


def test_arrivals_may_stand_in_any_order(tmp_path: Path) -> None:
    load = read(tmp_path, "at,took\n5,50\n2,20\n", column="took")
    assert ([0.0, 3.0], [20.0, 50.0]) == (load.arrivals, load.services)


def test_an_expression_over_columns_gives_the_time_of_a_task(tmp_path: Path) -> None:
    text = "at,Context,Generated\n0,1000,10\n1,0,100\n"
    load = read(tmp_path, text, expression="0.2 + 0.0002*Context + 0.03*Generated")
    assert [0.7, 3.2] == pytest.approx(load.services)


@pytest.mark.parametrize(
    ("text", "service", "said"),
    [
        ("", {"seconds": 1.0}, "the trace is empty"),
        ("at\n", {"seconds": 1.0}, "has no task"),
        ("at\nyesterday\n", {"seconds": 1.0}, "line 2 of the trace: 'yesterday' is neither"),
        ("at\n1\nnan\n", {"seconds": 1.0}, "line 3 of the trace: 'nan' is no time"),
        ("at,took\n1,2\n2\n", {"column": "took"}, "line 3 of the trace: took is None"),
        ("at,took\n1,-2\n", {"column": "took"}, "line 2 of the trace: the task would take -2 s"),
        ("at,took\n1,soon\n", {"column": "took"}, "line 2 of the trace: took is 'soon', which is no number"),
        ("at,took\n1,0\n", {"expression": "1/took"}, "line 2 of the trace: float division by zero"),
        ("at,took\n1,2\n", {"column": "seconds"}, "no column 'seconds'; it has 'at', 'took'"),
        ("at,took\n1,2\n", {"expression": "3*tokens"}, "no column 'tokens'; it has 'at', 'took'"),
        ("at\n1\n", {}, "how long does a task take"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line_and_reason(
    tmp_path: Path, text: str, service: dict[str, float | str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, text, **service)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv cannot be read: No such file"):
        read_trace(tmp_path / "nowhere.csv", service=ServiceTimes(seconds=1.0))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_bytes(b"\xff\xfe\x00at\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_trace(tmp_path / "trace.csv", service=ServiceTimes(seconds=1.0))
