"""Talk to the cluster through kubectl: what a person would type, with errors as ours and objects as dictionaries."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from millrace_demo.errors import KubectlError

REQUEST_LIMIT_SECONDS: Final = 60

KubernetesObject = dict[str, Any]


def _find_kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        raise KubectlError("kubectl is not on PATH; run this through `make demo`, which brings it")
    return found


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl in one namespace, for the cluster of $KUBECONFIG."""

    namespace: str
    binary: str = field(default_factory=_find_kubectl)

    def run(self, *arguments: str, limit_seconds: float = REQUEST_LIMIT_SECONDS) -> bytes:
        """Answer what kubectl prints; raise KubectlError with its own words when it fails."""
        command = self.command(*arguments)
        words = f"kubectl {' '.join(arguments)}"
        try:
            # The arguments are ours, and no shell reads them.
            ended = subprocess.run(command, capture_output=True, check=True, timeout=limit_seconds)  # noqa: S603 - kubectl
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            raise KubectlError(f"`{words}` failed: {said}") from error
        except subprocess.TimeoutExpired as error:
            raise KubectlError(
                f"`{words}` did not end within {limit_seconds:.0f} s; does the cluster answer?"
            ) from error
        return ended.stdout

    def get(self, resource: str, name: str) -> KubernetesObject:
        """Answer an object that must exist."""
        return _parsed(self.run("get", resource, name, "--output=json"))

    def apply(self, manifest: str) -> KubernetesObject:
        """Apply a file that holds one object and answer the object as the cluster has it."""
        return _parsed(self.run("apply", f"--filename={manifest}", "--output=json"))

    def command(self, *arguments: str) -> list[str]:
        """Answer the whole command line, for callers that read the output while it comes."""
        return [self.binary, f"--namespace={self.namespace}", *arguments]

    def watch_command(self, resource: str, name: str) -> list[str]:
        """Answer the command that prints an object at once and at each change, also when it does not exist yet."""
        return self.command(
            "get",
            resource,
            f"--field-selector=metadata.name={name}",
            "--output=json",
            "--watch",
            "--output-watch-events",
        )


def _parsed(printed: bytes) -> KubernetesObject:
    parsed: KubernetesObject = json.loads(printed)
    return parsed


def watch_events(lines: Iterable[str]) -> Iterator[KubernetesObject]:
    """Cut what a watch prints into its events {type, object}; a last one that was cut off is dropped.

    kubectl prints an event on a line of its own, or indented over several lines, depending on its version: in both only
    the last line begins with a brace and ends with one.
    """
    gathered: list[str] = []
    for line in lines:
        gathered.append(line)
        if line.startswith(("{", "}")) and line.rstrip().endswith("}"):
            yield json.loads("".join(gathered))
            gathered.clear()
