"""ModelVersions say what the registry says, and nothing is written that was said before."""

# ruff: noqa: D102 - the fakes have the methods of the ports, which are documented there

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.models import ModelVersion, VersionState
from millrace_operator.errors import KubernetesError
from millrace_operator.models.loop import Mirror, choose_namespace
from millrace_operator.models.registry import RegistryUnknown
from millrace_operator.models.view import MOST_OBJECTS, Show, object_name, steps

NOW = 1_800_000_000.0


def version(number: str = "3", state: VersionState = VersionState.SERVING, **more: Any) -> ModelVersion:
    known: dict[str, Any] = {"message": "served by 2 Tritons", "created_at": NOW - 60, "changed_at": NOW - 30}
    return ModelVersion(model="clicks", version=number, state=state, **(known | more))


class Cluster:
    """A namespace in memory."""

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, Any]] = {}
        self.events: list[tuple[str, str, str]] = []
        self.calls = 0
        self.is_away = False

    async def list_objects(self, plural: str, *, namespace: str | None) -> list[dict[str, Any]]:
        self._answer(plural, namespace)
        return list(self.bodies.values())

    async def create_object(self, plural: str, *, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._answer(plural, namespace)
        name = body["metadata"]["name"]
        metadata = {**body["metadata"], "namespace": namespace, "uid": f"uid-{name}"}
        self.bodies[name] = {**body, "metadata": metadata}
        return self.bodies[name]

    async def replace_status(
        self, plural: str, *, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        self._answer(plural, namespace)
        assert self.bodies[name]["metadata"]["uid"] == uid
        self.bodies[name] = {**self.bodies[name], "status": dict(status)}
        return self.bodies[name]

    async def delete_object(self, plural: str, *, namespace: str, name: str, uid: str) -> None:
        self._answer(plural, namespace)
        assert self.bodies.pop(name)["metadata"]["uid"] == uid

    async def record_event(self, body: Mapping[str, Any], *, type_: Any, reason: str, message: str, now: float) -> None:
        assert now == NOW
        self.events.append((body["metadata"]["name"], type_, f"{reason}: {message}"))

    def _answer(self, plural: str, namespace: str | None) -> None:
        assert ("modelversions", "ml") == (plural, namespace)
        self.calls += 1
        if self.is_away:
            raise KubernetesError("the API does not answer")


class World:
    """A mirror, what it reads and what it writes."""

    def __init__(self) -> None:
        self.versions: list[ModelVersion] | None = []
        self.cluster = Cluster()
        self.seconds = 1000.0
        clock = SimpleNamespace(now=lambda: datetime.fromtimestamp(NOW, tz=UTC), monotonic_seconds=lambda: self.seconds)
        self.mirror = Mirror(self, self.cluster, namespace="ml", clock=clock)

    async def read(self) -> list[ModelVersion]:
        if self.versions is None:
            raise RegistryUnknown("Redis is away")
        return self.versions

    def look(self, *versions: ModelVersion, is_known: bool = True) -> None:
        self.versions = list(versions) if is_known else None
        asyncio.run(self.mirror.look_once())

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.cluster.bodies[name]["status"])


def test_a_version_becomes_an_object_that_says_why_it_is_in_its_state() -> None:
    world = World()
    world.look(version(metric="hit_rate", metrics={"hit_rate": 0.31}, baseline={"hit_rate": 0.29}))
    status = world.status("clicks-3")
    assert ("Serving", "served by 2 Tritons") == (status["state"], status["message"])
    assert "hit_rate 0.31 (0.29)" == status["summary"]
    assert [{"name": "hit_rate", "value": 0.31, "serving": 0.29}] == status["metrics"]
    assert ("Serving", "True") == (status["conditions"][0]["type"], status["conditions"][0]["status"])
    assert [("clicks-3", "Normal", "Serving: served by 2 Tritons")] == world.cluster.events


def test_what_was_said_is_not_said_again() -> None:
    world = World()
    world.look(version())
    calls = world.cluster.calls
    world.look(version())
    assert calls == world.cluster.calls
    world.seconds += 61
    world.look(version())
    assert (calls + 1, 1) == (world.cluster.calls, len(world.cluster.events))


def test_an_operator_that_starts_anew_announces_nothing_anew() -> None:
    before, after = World(), World()
    before.look(version())
    after.cluster.bodies = before.cluster.bodies
    after.look(version())
    assert [] == after.cluster.events


def test_a_new_state_is_an_event_and_another_message_is_not() -> None:
    world = World()
    world.look(version(state=VersionState.PUBLISHING))
    world.look(version(state=VersionState.ROLLED_BACK, message="no memory"))
    world.look(version(state=VersionState.ROLLED_BACK, message="no memory; version 2 serves"))
    assert [("clicks-3", "Warning", "RolledBack: no memory")] == world.cluster.events[1:]
    assert "no memory; version 2 serves" == world.status("clicks-3")["message"]


def test_a_version_that_the_registry_has_forgotten_is_removed() -> None:
    world = World()
    world.look(version("1", VersionState.SUPERSEDED), version("2"))
    world.look(version("2"))
    assert ["clicks-2"] == list(world.cluster.bodies)


def test_a_registry_that_cannot_be_read_removes_nothing() -> None:
    world = World()
    world.look(version())
    world.look(is_known=False)
    assert ["clicks-3"] == list(world.cluster.bodies)


def test_what_could_not_be_written_is_written_at_the_next_look() -> None:
    world = World()
    world.cluster.is_away = True
    world.look(version())
    world.cluster.is_away = False
    world.look(version())
    assert "Serving" == world.status("clicks-3")["state"]


@given(
    model=st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z"), number=st.from_regex(r"\A(run-)?[a-z0-9-]{1,128}\Z")
)
def test_every_version_has_a_name_that_kubernetes_allows(model: str, number: str) -> None:
    name = object_name(version(number).model_copy(update={"model": model}))
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 253


def test_versions_whose_names_look_alike_have_objects_of_their_own() -> None:
    names = {object_name(version().model_copy(update={"model": model})) for model in ("a_b", "a.b", "a-b", "A-b")}
    assert 4 == len(names)


def test_the_objects_are_bounded_and_the_newest_are_shown() -> None:
    many = [version(str(number), changed_at=NOW + number) for number in range(MOST_OBJECTS + 5)]
    shown = [step for step in steps(many, [], now=NOW) if isinstance(step, Show)]
    assert MOST_OBJECTS == len(shown)
    assert f"clicks-{MOST_OBJECTS + 4}" == shown[-1].body["metadata"]["name"]


def test_objects_are_shown_where_the_operator_may_write() -> None:
    def settings(*namespaces: str, chosen: str = "") -> Any:
        return SimpleNamespace(namespaces=namespaces, model_namespace=chosen, model_loop_seconds=5)

    assert "own" == choose_namespace(settings(), own="own")
    assert "own" == choose_namespace(settings("a", "own"), own="own")
    assert "a" == choose_namespace(settings("a", "b"), own="own")
    assert "c" == choose_namespace(settings("a", chosen="c"), own="own")
