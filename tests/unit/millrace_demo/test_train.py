import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from millrace_demo import model
from millrace_demo.errors import ExportMismatchError
from millrace_demo.scans import load_scans
from millrace_demo.train import Trained, train


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def trained(out: Path) -> Trained:
    return train(out)


def test_the_model_reads_at_least_97_percent_of_the_held_out_scans(trained: Trained) -> None:
    assert trained.accuracy >= 0.97


@pytest.mark.usefixtures("trained")
def test_what_goes_to_the_claim_is_a_model_repository_and_the_records(out: Path) -> None:
    files = sorted(str(path.relative_to(out / "claim")) for path in (out / "claim").rglob("*") if path.is_file())
    assert ["input/digits.jsonl", "models/digits/1/model.onnx", "models/digits/config.pbtxt"] == files


@pytest.mark.usefixtures("trained")
def test_no_record_tells_its_label(out: Path) -> None:
    records = [json.loads(line) for line in (out / "claim/input/digits.jsonl").read_text().splitlines()]
    assert {("key", "pixels")} == {tuple(record) for record in records}


@pytest.mark.usefixtures("trained")
def test_records_and_labels_name_the_same_scans(out: Path) -> None:
    records = [json.loads(line) for line in (out / "claim/input/digits.jsonl").read_text().splitlines()]
    assert [record["key"] for record in records] == list(json.loads((out / "labels.json").read_text()))


@pytest.mark.usefixtures("trained")
def test_the_file_for_triton_reads_the_scans_as_well_as_the_trained_model(out: Path, trained: Trained) -> None:
    exported = onnx.load(str(out / "claim/models/digits/1/model.onnx"))
    records = [json.loads(line) for line in (out / "claim/input/digits.jsonl").read_text().splitlines()]
    pixels = np.array([record["pixels"] for record in records], dtype=np.float32)
    labels, *_ = ReferenceEvaluator(exported).run(["label"], {"pixels": pixels})
    true_labels = list(json.loads((out / "labels.json").read_text()).values())
    assert pytest.approx(trained.accuracy) == float(np.mean(labels == true_labels))


def test_training_again_gives_the_same_files(trained: Trained, out: Path, tmp_path: Path) -> None:
    assert trained == train(tmp_path)
    first, second = ((folder / "claim/models/digits/1/model.onnx").read_bytes() for folder in (out, tmp_path))
    assert first == second


def test_an_export_that_reads_differently_is_refused() -> None:
    training, held_out = load_scans()
    classifier = model.train_classifier(training)
    exported = model.export_onnx(classifier)
    classifier.named_steps["network"].coefs_[0] *= -1
    with pytest.raises(ExportMismatchError, match="of 540 scans differently"):
        model.refuse_mismatch(exported, classifier, held_out)
