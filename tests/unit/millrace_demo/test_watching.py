from pathlib import Path

import pytest

from millrace_demo.kubectl import Kubectl
from millrace_demo.watching import Sight, Watching

EVENT = '{\n    "type": "%s",\n    "object": {"metadata": {"name": "%s"}}\n}'


def kubectl_that(folder: Path, text: str) -> Kubectl:
    path = folder / "kubectl"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Kubectl("spot", str(path))


def seen(watching: Watching) -> Sight:
    sight = watching.next_sight(10.0)
    assert sight is not None
    return sight


def test_each_change_is_seen_in_its_order(tmp_path: Path) -> None:
    said = "\n".join(EVENT % (kind, "digits") for kind in ("ADDED", "DELETED"))
    kubectl = kubectl_that(tmp_path, f"cat <<'END'\n{said}\nEND\nexec tail -f /dev/null")
    with Watching(kubectl, [("jobs", "digits")]) as watching:
        assert [False, True] == [seen(watching).is_deleted, seen(watching).is_deleted]


def test_objects_are_told_apart_by_their_resource(tmp_path: Path) -> None:
    said = EVENT % ("ADDED", "digits")
    kubectl = kubectl_that(tmp_path, f"cat <<'END'\n{said}\nEND\nexec tail -f /dev/null")
    with Watching(kubectl, [("jobs", "digits"), ("pools", "digits")]) as watching:
        assert {"jobs", "pools"} == {seen(watching).resource, seen(watching).resource}


def test_a_watch_that_ends_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace_demo.watching.REOPEN_AFTER_SECONDS", 0.01)
    said = EVENT % ("ADDED", "digits")
    kubectl = kubectl_that(tmp_path, f"cat <<'END'\n{said}\nEND")
    with Watching(kubectl, [("jobs", "digits")]) as watching:
        assert ["jobs", "jobs"] == [seen(watching).resource, seen(watching).resource]


def test_nothing_new_within_the_limit_is_none(tmp_path: Path) -> None:
    kubectl = kubectl_that(tmp_path, "exec tail -f /dev/null")
    with Watching(kubectl, [("jobs", "digits")]) as watching:
        assert watching.next_sight(0.05) is None


def test_leaving_ends_the_watches(tmp_path: Path) -> None:
    mark = tmp_path / "ended"
    kubectl = kubectl_that(
        tmp_path, f"trap 'touch {mark}; exit 0' TERM\ncat <<'END'\n{EVENT % ('ADDED', 'x')}\nEND\nwhile :; do :; done"
    )
    with Watching(kubectl, [("jobs", "digits")]) as watching:
        seen(watching)
    assert mark.exists()
