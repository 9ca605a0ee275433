"""How the command line finds the API server and what it asks of it, without the official client."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from millrace.cli.kubernetes_access import read_kubeconfig
from millrace.cli.kubernetes_api import Cluster
from millrace.errors import MillraceError, Misconfigured, NotFound, Refused, Unauthorized, Unavailable

JOB = {"metadata": {"name": "digits", "namespace": "team", "uid": "u1"}}
SERVER = "https://api.example:6443"


def kubeconfig(folder: Path, name: str = "config", **user: Any) -> str:
    content = {
        "clusters": [{"name": "c", "cluster": {"server": SERVER}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "first", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
            {"name": "second", "context": {"cluster": "c", "user": "u"}},
            {"name": "broken", "context": {"cluster": "gone", "user": "u"}},
        ],
        "current-context": "first",
    }
    file = folder / name
    file.write_text(yaml.safe_dump(content))
    return str(file)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., tuple[Cluster, list[httpx.Request]]]:
    """Make a cluster whose API server gives these answers, and the list of what it was asked."""

    def prepare(*answers: httpx.Response | Exception) -> tuple[Cluster, list[httpx.Request]]:
        asked: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            given = answers[len(asked) - 1]
            if isinstance(given, Exception):
                raise given
            return given

        cluster = Cluster(kubeconfig=kubeconfig(tmp_path), context=None, given_namespace=None)
        cluster.__dict__["_http"] = httpx.Client(base_url=SERVER, transport=httpx.MockTransport(answer))
        return cluster, asked

    return prepare


def test_the_current_context_says_where_the_api_and_the_namespace_are(tmp_path: Path) -> None:
    found = read_kubeconfig(kubeconfig(tmp_path), None)

    assert ("first", "team", SERVER) == (found.context, found.namespace, found.access().server)


def test_a_context_without_a_namespace_has_the_default_one(tmp_path: Path) -> None:
    assert "default" == read_kubeconfig(kubeconfig(tmp_path), "second").namespace


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t0ken"}, "Bearer t0ken"),
        ({"tokenFile": "token.txt", "token": "old"}, "Bearer from-the-file"),
        ({"username": "me", "password": "pw"}, f"Basic {base64.b64encode(b'me:pw').decode()}"),
        ({}, None),
    ],
    ids=str,
)
def test_a_user_is_known_by_token_file_or_password(tmp_path: Path, user: dict[str, str], header: str | None) -> None:
    (tmp_path / "token.txt").write_text("from-the-file\n")

    access = read_kubeconfig(kubeconfig(tmp_path, **user), None).access()

    assert header == access.headers.get("Authorization")
    assert "t0ken" not in repr(access)


def test_of_several_files_the_first_that_knows_something_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [kubeconfig(tmp_path, "a", token="a"), kubeconfig(tmp_path, "b", token="b"), str(tmp_path / "none")]
    monkeypatch.setenv("KUBECONFIG", ":".join(files))

    assert {"Authorization": "Bearer a"} == read_kubeconfig(None, None).access().headers


@pytest.mark.parametrize(
    ("context", "user", "words"),
    [
        ("nowhere", {}, "no context 'nowhere' .*first, second"),
        ("broken", {}, "no context 'broken' with a cluster"),
        (None, {"client-certificate": "gone.pem", "client-key": "gone.pem"}, "client-certificate cannot be read"),
        (None, {"tokenFile": "gone"}, "tokenFile cannot be read"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told_with_what_to_do(
    tmp_path: Path, context: str | None, user: dict[str, str], words: str
) -> None:
    with pytest.raises(Misconfigured, match=words):
        read_kubeconfig(kubeconfig(tmp_path, **user), context).access()


def test_without_a_file_there_is_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="there is no file"):
        read_kubeconfig(str(tmp_path / "none"), None)


def test_ten_thousand_jobs_come_in_pages(ask: Any) -> None:
    first = {"items": [JOB], "metadata": {"continue": "next"}}
    cluster, asked = ask(httpx.Response(200, json=first), httpx.Response(200, json={"items": [JOB]}))

    assert [JOB, JOB] == cluster.list_all("predictionjobs")
    assert "/apis/millrace.dev/v1alpha1/namespaces/team/predictionjobs" == asked[0].url.path
    assert [None, "next"] == [request.url.params.get("continue") for request in asked]


def test_what_is_changed_or_deleted_is_this_very_object(ask: Any) -> None:
    cluster, asked = ask(httpx.Response(200, json=JOB), httpx.Response(200, json={}))

    cluster.patch("predictionjobs", JOB, {"suspend": True})
    cluster.delete("predictionjobs", JOB)

    patched, deleted = (json.loads(request.content) for request in asked)
    assert {"metadata": {"uid": "u1"}, "spec": {"suspend": True}} == patched
    assert {"preconditions": {"uid": "u1"}} == deleted
    assert "application/merge-patch+json" == asked[0].headers["Content-Type"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (httpx.Response(403, json={"message": "may not"}), Unauthorized, "may not"),
        (httpx.Response(404, json={"message": 'pjob "x" not found'}), NotFound, "there is no PredictionJob 'x'"),
        (httpx.Response(404, text="404 page not found"), NotFound, "millrace-operator installed"),
        (httpx.Response(422, json={"message": "spec is immutable"}), Refused, "spec is immutable"),
        (httpx.Response(500, text="oops"), Unavailable, "Internal Server Error"),
        (httpx.ConnectError("refused"), Unavailable, "does not answer"),
    ],
    ids=str,
)
def test_what_the_api_refuses_is_one_sentence(ask: Any, answer: Any, kind: type[MillraceError], words: str) -> None:
    cluster, _ = ask(answer)

    with pytest.raises(kind, match=words):
        cluster.get("predictionjobs", "x")


def test_lists_and_jobs_need_no_official_client() -> None:
    program = "import sys, millrace.cli.program, millrace.cli.kubernetes_api; print('kubernetes' in sys.modules)"

    # What this interpreter has imported by now says nothing.
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()
