import json
from pathlib import Path

import pytest

from millrace_loadtest.simulator.cli import main


def test_a_trace_is_compared_and_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, figures = tmp_path / "mine.csv", tmp_path / "out.json"
    trace.write_text("at\n" + "".join(f"{second}\n" for second in range(0, 120, 4)))
    options = ["--service-seconds", "5", "--seeds", "1", "--policies", "millrace,keda-one", "--json", str(figures)]
    assert 0 == main(["--trace", str(trace), *options])
    assert 30 == json.loads(figures.read_text())["mine"]["policies"]["millrace"]["tasks"]
    assert "keda-one *" in capsys.readouterr().out


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    trace, picture = tmp_path / "mine.csv", tmp_path / "picture.svg"
    trace.write_text("at\n1\n2\n3\n")
    options = ["--service-seconds", "5", "--seeds", "1", "--policies", "millrace", "--picture", str(picture)]
    assert 0 == main(["--trace", str(trace), *options])
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either --scenario"),
        (["--scenario", "nothing"], "scenarios are "),
        (["--scenario", "step", "--policies", "keda"], "no policy is called 'keda'"),
        (["--scenario", "step", "--seeds", "0"], "--seeds must be at least 1"),
        (["--scenario", "step", "--law", "nowhere:decide"], "--law nowhere:decide"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == main(arguments)
    assert said in capsys.readouterr().err
