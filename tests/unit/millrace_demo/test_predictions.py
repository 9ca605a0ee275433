import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_demo.errors import PredictionsError
from millrace_demo.predictions import Prediction, compare, prediction, read_predictions


def result_line(key: str, label: object = 7) -> bytes:
    outputs = {"label": label, "probabilities": [0.1, 0.9]}
    return json.dumps({"key": key, "line": 1, "outputs": outputs}).encode()


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def manifest(uid: str, parts: list[str]) -> bytes:
    fields = {"job": "digits", "uid": uid, "model": "digits", "model_version": "1", "records": {}, "finished_at": "now"}
    return json.dumps(fields | {"parts": parts}).encode()


def predicted(key: str, label: int) -> Prediction:
    return Prediction(key=key, label=label, confidence=1.0)


def test_parts_are_read_in_the_order_of_the_manifest() -> None:
    parts = {"b.jsonl": result_line("first") + b"\n", "a.jsonl": result_line("second") + b"\n"}
    packed = archive({"manifest.json": manifest("u", ["b.jsonl", "a.jsonl"]), **parts})
    assert ["first", "second"] == [each.key for each in read_predictions(packed, "u")]


def test_results_of_another_job_are_refused() -> None:
    with pytest.raises(PredictionsError, match="those of job old, not of new"):
        read_predictions(archive({"manifest.json": manifest("old", [])}), "new")


def test_a_missing_part_is_named() -> None:
    with pytest.raises(PredictionsError, match=r"no 'part-00001\.jsonl'"):
        read_predictions(archive({"manifest.json": manifest("u", ["part-00001.jsonl"])}), "u")


def test_an_answer_that_is_no_archive_is_refused() -> None:
    with pytest.raises(PredictionsError, match="could not be read from the claim"):
        read_predictions(b"tar: no such file", "u")


@pytest.mark.parametrize("label", [7, [7]])
def test_a_label_is_a_number_or_a_list_of_one(label: object) -> None:
    assert Prediction(key="k", label=7, confidence=0.9) == prediction(result_line("k", label))


@pytest.mark.parametrize("line", [b"{", b'{"key": "k", "line": 1, "outputs": {}}', result_line("k", [])])
def test_a_result_of_another_shape_is_shown(line: bytes) -> None:
    with pytest.raises(PredictionsError, match="does not look as documented"):
        prediction(line)


def test_a_scan_predicted_twice_is_refused() -> None:
    with pytest.raises(PredictionsError, match="1 came more than once"):
        compare([predicted("a", 1), predicted("a", 1)], {"a": 1})


def test_a_scan_that_nobody_asked_about_is_refused() -> None:
    with pytest.raises(PredictionsError, match="1 are not in the input"):
        compare([predicted("b", 1)], {"a": 1})


@given(
    labels=st.dictionaries(st.text(min_size=1), st.integers(0, 9), min_size=1),
    guess=st.integers(0, 9),
    dropped=st.integers(0, 3),
)
def test_right_wrong_and_missing_sum_to_the_total(labels: dict[str, int], guess: int, dropped: int) -> None:
    answers = [predicted(key, guess) for key in list(labels)[dropped:]]
    comparison = compare(answers, labels)
    assert len(labels) == comparison.right + len(comparison.wrong) + len(comparison.missing)
    assert 0 <= comparison.accuracy <= 1


def test_a_missing_prediction_lowers_the_accuracy() -> None:
    assert 0.5 == compare([predicted("a", 1)], {"a": 1, "b": 2}).accuracy
