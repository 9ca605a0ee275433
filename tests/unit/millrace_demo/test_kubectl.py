import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_demo.errors import KubectlError
from millrace_demo.kubectl import Kubectl, watch_events

values = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.fixed_dictionaries({"type": st.text(), "object": values})), st.sampled_from([None, 4]))
def test_a_watch_is_cut_into_the_events_that_were_printed(events: list[dict[str, object]], indent: int | None) -> None:
    printed = "".join(json.dumps(event, indent=indent) + "\n" for event in events)
    assert events == list(watch_events(printed.splitlines(keepends=True)))


def test_an_event_that_was_cut_off_is_dropped() -> None:
    assert [{"a": 1}] == list(watch_events(["{\n", '"a": 1\n', "}\n", "{\n", '"b": 2\n']))


def script(folder: Path, text: str) -> str:
    path = folder / "kubectl"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_refusal_is_told_in_the_words_of_kubectl(tmp_path: Path) -> None:
    kubectl = Kubectl("spot", script(tmp_path, "echo 'pods \"x\" not found' >&2; exit 1"))
    with pytest.raises(KubectlError, match='`kubectl get pods x --output=json` failed: pods "x" not found'):
        kubectl.get("pods", "x")


def test_a_command_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    kubectl = Kubectl("spot", script(tmp_path, "exec tail -f /dev/null"))
    with pytest.raises(KubectlError, match="did not end within 0 s"):
        kubectl.run("get", limit_seconds=0.1)


def test_every_command_names_the_namespace(tmp_path: Path) -> None:
    kubectl = Kubectl("spot", script(tmp_path, 'echo "$@"'))
    assert b"--namespace=spot delete pod x\n" == kubectl.run("delete", "pod", "x")


def test_a_missing_kubectl_says_who_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KubectlError, match="make demo"):
        Kubectl("spot")
