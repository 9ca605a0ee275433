"""Drive a cluster as its users do, through kubectl, bound to one namespace."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from commands import CommandError, environment, run

Resource = dict[str, Any]


@dataclass(frozen=True)
class Kubectl:
    """kubectl with its namespace."""

    namespace: str

    def run(self, *arguments: str, stdin: bytes | None = None, timeout_seconds: float = 60.0) -> str:
        """Run any kubectl command in the namespace."""
        return run("kubectl", "--namespace", self.namespace, *arguments, stdin=stdin, timeout_seconds=timeout_seconds)

    def get(self, kind: str, name: str) -> Resource | None:
        """Answer an object, or None where there is none."""
        text = self.run("get", kind, name, "--output=json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def require(self, kind: str, name: str) -> Resource:
        """Answer an object that must exist."""
        found = self.get(kind, name)
        assert found is not None, f"there is no {kind}/{name} in namespace {self.namespace}"
        return found

    def list(self, kind: str, *, selector: str = "", field_selector: str = "") -> list[Resource]:
        """Answer the objects of a kind."""
        filters = [f"--selector={selector}"] if selector else []
        filters += [f"--field-selector={field_selector}"] if field_selector else []
        items: list[Resource] = json.loads(self.run("get", kind, "--output=json", *filters))["items"]
        return items

    def apply(self, *resources: Mapping[str, Any], dry_run: bool = False) -> str:
        """Apply objects, or only ask whether the server would; a refusal is a CommandError with its sentence."""
        listing = {"apiVersion": "v1", "kind": "List", "items": list(resources)}
        flags = ["--dry-run=server"] if dry_run else []
        return self.run("apply", *flags, "--filename=-", stdin=json.dumps(listing).encode())

    def delete(self, kind: str, name: str, *flags: str, timeout_seconds: float = 120.0) -> None:
        """Delete an object if it is there, and wait until it is gone unless a flag says otherwise."""
        self.run("delete", kind, name, "--ignore-not-found", *flags, timeout_seconds=timeout_seconds)

    def exec(
        self, pod: str, *command: str, container: str = "", stdin: bytes | None = None, timeout_seconds: float = 60.0
    ) -> str:
        """Run a command in a container of a pod; `pod` may be "deployment/name"."""
        where = [f"--container={container}"] if container else []
        flags = ["--stdin"] if stdin is not None else []
        return self.run("exec", *flags, pod, *where, "--", *command, stdin=stdin, timeout_seconds=timeout_seconds)

    def python(self, pod: str, program: str, *, container: str = "", timeout_seconds: float = 60.0) -> str:
        """Run a Python program in a container that has Python."""
        return self.exec(
            pod, "python", "-", container=container, stdin=program.encode(), timeout_seconds=timeout_seconds
        )

    def explain(self, *arguments: str) -> str:
        """Run a command whose answer is only for people: a failure is part of the answer."""
        try:
            return self.run(*arguments)
        except (CommandError, subprocess.TimeoutExpired) as error:
            return f"(not readable: {error})"

    @contextmanager
    def port_forward(self, target: str, port: int) -> Iterator[str]:
        """Open a port of a Service or pod on this machine; answers "http://127.0.0.1:<port>"."""
        command = ["kubectl", "--namespace", self.namespace, "port-forward", target, f":{port}"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        ) as process:
            try:
                assert process.stdout is not None
                first_line = process.stdout.readline()
                opened = re.search(r"Forwarding from (127\.0\.0\.1:\d+)", first_line)
                assert opened, f"port-forward to {target} said: {first_line}"
                yield f"http://{opened.group(1)}"
            finally:
                process.terminate()

    @contextmanager
    def proxy(self) -> Iterator[str]:
        """Open the API server on this machine, for many calls in a row; answers "http://127.0.0.1:<port>"."""
        with subprocess.Popen(
            ["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True, env=environment()
        ) as process:
            try:
                assert process.stdout is not None
                opened = re.search(r"on (127\.0\.0\.1:\d+)", process.stdout.readline())
                assert opened, "kubectl proxy did not open a port"
                yield f"http://{opened.group(1)}"
            finally:
                process.terminate()

    @contextmanager
    def watch(self, kind: str, name: str, jsonpath: str) -> Iterator["Watch"]:
        """Record, line by line, what a JSONPath template says about each version of an object."""
        template = "--output=jsonpath=" + jsonpath + '{"\\n"}'
        command = ["kubectl", "--namespace", self.namespace, "get", kind, name, "--watch", template]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
            watch = Watch()
            assert process.stdout is not None
            reader = threading.Thread(target=watch.read, args=(process.stdout,), daemon=True)
            reader.start()
            try:
                yield watch
            finally:
                process.terminate()
                reader.join(timeout=10)


@dataclass
class Watch:
    """What a watch has said so far."""

    lines: list[str] = field(default_factory=list)

    def read(self, stream: Iterator[str]) -> None:
        """Collect lines until the stream ends; consecutive equal ones are one."""
        for line in stream:
            if not self.lines or self.lines[-1] != line.rstrip("\n"):
                self.lines.append(line.rstrip("\n"))
