"""The model repository on a volume: a version is there whole or not at all, and going back restores what was."""

import shutil
from pathlib import Path

import pytest

from millrace_worker.errors import OutputUnwritable
from millrace_worker.pipeline.errors import StepFailed
from millrace_worker.pipeline.repository import ModelRepository
from millrace_worker.pipeline.storage import FolderPlace, open_place
from millrace_worker.storage.claims import Claims


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    (folder / "1-weights").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"weights")
    (folder / "model.onnx").chmod(0o600)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


@pytest.fixture
def repository(models: Path) -> ModelRepository:
    return ModelRepository(FolderPlace(models, uri="claim:data/models"))


def test_a_new_model_appears_with_its_configuration_and_its_version(
    repository: ModelRepository, content: Path, models: Path
) -> None:
    repository.put("clicks", 1, content, config="# first")
    assert ([1], "# first") == (repository.versions("clicks"), (models / "clicks" / "config.pbtxt").read_text())
    assert ["clicks"] == [entry.name for entry in models.iterdir()]


def test_every_user_may_read_what_was_published(repository: ModelRepository, content: Path, models: Path) -> None:
    repository.put("clicks", 1, content, config="# first")
    assert 0o644 == (models / "clicks" / "1" / "model.onnx").stat().st_mode & 0o777


def test_to_put_a_version_again_changes_nothing(repository: ModelRepository, content: Path, models: Path) -> None:
    repository.put("clicks", 1, content, config="# first")
    repository.put("clicks", 2, content, config="# second")
    (content / "model.onnx").write_bytes(b"other weights")
    repository.put("clicks", 2, content, config="# second")
    assert b"weights" == (models / "clicks" / "2" / "model.onnx").read_bytes()


def test_a_copy_that_fails_leaves_nothing_behind(
    repository: ModelRepository, content: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.put("clicks", 1, content, config="# first")

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", disk_full)
    with pytest.raises(StepFailed, match="free space"):
        repository.put("clicks", 2, content, config="# first")
    assert [1] == repository.versions("clicks")
    assert [] == list((models.parent / ".millrace-staging").iterdir())


def test_a_version_that_is_taken_back_takes_its_configuration_with_it(
    repository: ModelRepository, content: Path
) -> None:
    repository.put("clicks", 1, content, config="# first")
    repository.put("clicks", 2, content, config="# second")
    for _ in range(2):
        repository.withdraw("clicks", 2, config="# first")
    assert ([1], "# first") == (repository.versions("clicks"), repository.config("clicks"))


def test_a_first_version_that_is_taken_back_leaves_no_model(
    repository: ModelRepository, content: Path, models: Path
) -> None:
    repository.put("clicks", 1, content, config="# first")
    repository.withdraw("clicks", 1, config=None)
    assert [] == list(models.iterdir())


def test_the_newest_versions_stay_and_the_serving_one_always_does(repository: ModelRepository, content: Path) -> None:
    for version in range(1, 6):
        repository.put("clicks", version, content, config="")
    assert [1, 3] == repository.keep_only("clicks", 2, also=["2"])
    assert [2, 4, 5] == repository.versions("clicks")


def test_folders_that_are_no_versions_are_not_counted(repository: ModelRepository, models: Path) -> None:
    for name in ("7", "10", "0", "01", "draft", ".old"):
        (models / "clicks" / name).mkdir(parents=True)
    assert [7, 10] == repository.versions("clicks")


def test_a_place_on_a_claim_that_is_not_mounted_is_refused_with_the_claims_that_are(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(OutputUnwritable, match=r'claim "other" is not mounted.*they have: data'):
        open_place("claim:other/models", Claims(tmp_path))
