"""Triton's model repository: a folder a model, with `config.pbtxt` and a folder a version.

On a volume a version appears by a rename, wholly or not at all. An object store has no rename: there a Triton that
starts during the upload may see half a version and fail to load it; the publication then tells it to load it again.
"""

import shutil
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from millrace_worker.pipeline.storage import Place

CONFIG: Final = "config.pbtxt"
CONTENT: Final = "model"
"""The folder of train's output that becomes the version folder."""


class ModelRepository:
    """The models of some Tritons."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def versions(self, model: str) -> list[int]:
        """List the version folders, the oldest first."""
        return sorted(int(name) for name in self._place.names(model) if name.isdecimal() and not name.startswith("0"))

    def config(self, model: str) -> str | None:
        """Answer the model's configuration; None where there is none."""
        return self._place.read_text(f"{model}/{CONFIG}")

    def fetch(self, model: str, version: str) -> AbstractContextManager[Path]:
        """Lend the version folder, to read."""
        return self._place.fetch(f"{model}/{version}")

    def put(self, model: str, version: int, content: Path, *, config: str) -> None:
        """Put a version there, with the configuration that it needs; to do so again changes nothing."""
        if not self.versions(model) and self.config(model) is None:
            # Without a version, or without its configuration, the model would be broken to a Triton that starts now.
            with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
                shutil.copytree(content, Path(folder) / model / str(version))
                (Path(folder) / model / CONFIG).write_text(config, encoding="utf-8")
                self._place.put_whole(Path(folder) / model, model)
            return
        if self.config(model) != config:
            self._place.write_text(f"{model}/{CONFIG}", config)
        self._place.put_whole(content, f"{model}/{version}")

    def withdraw(self, model: str, version: int, *, config: str | None) -> None:
        """Take a version away and put the configuration back that was there before; without one, the model goes."""
        if config is None:
            self._place.remove(model)
            return
        self._place.remove(f"{model}/{version}")
        if self.config(model) != config:
            self._place.write_text(f"{model}/{CONFIG}", config)

    def keep_only(self, model: str, newest: int, *, also: Iterable[str]) -> list[int]:
        """Remove all but the newest versions and those that are named; answers what was removed."""
        kept = {*self.versions(model)[-newest:], *(int(each) for each in also if each.isdecimal())}
        removed = [version for version in self.versions(model) if version not in kept]
        for version in removed:
            self._place.remove(f"{model}/{version}")
        return removed
