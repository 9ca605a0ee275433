"""Install, upgrade, test and remove releases through the helm command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from commands import CommandError, run


@dataclass(frozen=True)
class Release:
    """One release: a chart with its values under a name in a namespace."""

    name: str
    namespace: str
    chart: Path
    values: Sequence[Path]

    def install_or_upgrade(self, *flags: str, timeout_seconds: int = 300) -> str:
        """Bring the release to the chart and values, and wait until everything is ready."""
        files = [f"--values={path}" for path in self.values]
        return self._helm(
            "upgrade",
            "--install",
            self.name,
            str(self.chart),
            *files,
            "--wait",
            f"--timeout={timeout_seconds}s",
            *flags,
            timeout_seconds=timeout_seconds + 30,
        )

    def test(self, *, timeout_seconds: int = 180) -> str:
        """Run the chart's own tests and answer what they said."""
        return self._helm(
            "test", self.name, "--logs", f"--timeout={timeout_seconds}s", timeout_seconds=timeout_seconds + 30
        )

    def uninstall(self, *, timeout_seconds: int = 120) -> str:
        """Remove the release and wait until its objects are gone; a release that is not there is fine."""
        return self._helm(
            "uninstall",
            self.name,
            "--ignore-not-found",
            "--wait",
            f"--timeout={timeout_seconds}s",
            timeout_seconds=timeout_seconds + 30,
        )

    def exists(self) -> bool:
        """Say whether helm knows the release."""
        try:
            self._helm("status", self.name, timeout_seconds=30)
        except CommandError as error:
            if "not found" in error.stderr:
                return False
            raise
        return True

    def _helm(self, *arguments: str, timeout_seconds: float) -> str:
        return run("helm", "--namespace", self.namespace, *arguments, timeout_seconds=timeout_seconds)
