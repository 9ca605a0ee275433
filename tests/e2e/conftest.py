"""One installation for all end-to-end tests, and one run of the sample job that several of them look at.

The fresh installation is looked at first, and removed last; between them files run in the order of their names.
"""

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import installation
import pytest
from commands import PROJECT_ROOT, run
from installation import Platform
from sample_run import SampleRun, read_labels, run_sample

HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, and put the beginning and the end of an installation where they belong."""
    order = {"test_install.py": -1, "test_uninstall.py": 1}
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
    places = [place for place, item in enumerate(items) if item.path.is_relative_to(HERE)]
    for place, item in zip(places, sorted(ours, key=lambda item: order.get(item.path.name, 0)), strict=True):
        items[place] = item


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with each failure what a person would look at first."""
    report = yield
    platform = getattr(item, "funcargs", {}).get("platform")
    if report.failed and call.when == "call" and isinstance(platform, Platform):
        report.sections.append(("The platform", platform.describe()))
    return report


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer a folder with `claim/` (models, input) and `labels.json`, as the demonstration makes it."""
    out = tmp_path_factory.mktemp("digits")
    python = str(PROJECT_ROOT / ".venv" / "bin" / "python")
    run(python, "-m", "millrace_demo.train", "--out", str(out), timeout_seconds=180)
    shutil.copytree(HERE / "models", out / "claim" / "models", dirs_exist_ok=True)
    return out


@pytest.fixture(scope="session")
def platform(trained: Path) -> Iterator[Platform]:
    """Answer the installed platform with its models and inputs on the claim."""
    with installation.installed(trained / "claim") as platform:
        yield platform


@pytest.fixture(scope="session")
def sample_run(platform: Platform, trained: Path) -> SampleRun:
    """Run the sample job once, on a pool that has no pod."""
    return run_sample(platform, read_labels(trained))
