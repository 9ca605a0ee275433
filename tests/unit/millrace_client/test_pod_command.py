"""What a command in a pod writes is read line by line, however the frames cut it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from millrace.cli import pod_command
from millrace.cli.errors import OutcomeFailed
from millrace.cli.kubernetes_api import Cluster
from millrace.errors import Unavailable

CLUSTER = Cluster(kubeconfig=None, context=None, given_namespace="ns")


@dataclass
class Running:
    """A command whose output comes in frames, as the official client hands them out."""

    frames: deque[tuple[bytes, bytes]]
    returncode: int = 0
    is_closed: bool = False
    _now: tuple[bytes, bytes] = field(default=(b"", b""))

    def is_open(self) -> bool:
        """Say whether there may be more."""
        return bool(self.frames)

    def update(self, timeout: float) -> None:
        """Take a frame in."""
        assert timeout
        self._now = self.frames.popleft()

    def peek_stdout(self) -> bytes:
        """Look at what is there."""
        return self._now[0]

    def peek_stderr(self) -> bytes:
        """Look at what is there."""
        return self._now[1]

    def read_stdout(self) -> bytes:
        """Take what is there."""
        taken, self._now = self._now[0], (b"", self._now[1])
        return taken

    def read_stderr(self) -> bytes:
        """Take what is there."""
        taken, self._now = self._now[1], (self._now[0], b"")
        return taken

    def close(self) -> None:
        """End."""
        self.is_closed = True


def run(monkeypatch: pytest.MonkeyPatch, *frames: tuple[bytes, bytes], returncode: int = 0) -> list[str]:
    running = Running(deque(frames), returncode=returncode)
    monkeypatch.setattr(pod_command, "official_client", lambda _: None)
    monkeypatch.setattr(pod_command.stream, "stream", lambda *_, **__: running)
    try:
        return list(pod_command.command_lines(CLUSTER, "pod", "worker", ["cat"]))
    finally:
        assert running.is_closed


def test_lines_and_characters_may_be_cut_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "eins\nzwölf\n".encode()
    frames = [(text[place : place + 1], b"") for place in range(len(text))]

    assert ["eins", "zwölf"] == run(monkeypatch, *frames)


def test_a_last_line_without_an_end_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ["one", "two"] == run(monkeypatch, (b"one\ntwo", b""))


def test_a_command_that_fails_is_told_by_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutcomeFailed, match=r"^the claim is not mounted$"):
        run(monkeypatch, (b"", b"a warning\n"), (b"", b"the claim is not mounted\n"), returncode=1)


def test_a_pod_in_which_nothing_may_run_is_told_with_the_right_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ApiException(status=403, reason="Forbidden")

    monkeypatch.setattr(pod_command, "official_client", lambda _: None)
    monkeypatch.setattr(pod_command.stream, "stream", refuse)

    with pytest.raises(Unavailable, match="pods/exec"):
        list(pod_command.command_lines(CLUSTER, "pod", "worker", ["cat"]))
