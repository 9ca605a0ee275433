"""The store follows watches and lists, whichever is newer."""

from typing import Any

from millrace_operator.handlers.object_store import BodiesByUid, ObjectStore


def body(uid: str, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "name": uid, "namespace": "ml", "resourceVersion": str(version)}}


def test_a_newer_version_replaces_an_older_one() -> None:
    objects = BodiesByUid()
    objects.put(body("a", 9))
    objects.put(body("a", 10))

    assert (body("a", 10),) == objects.bodies()


def test_a_late_older_version_changes_nothing() -> None:
    objects = BodiesByUid()
    objects.put(body("a", 10))
    objects.put(body("a", 9))

    assert (body("a", 10),) == objects.bodies()


def test_the_same_version_leaves_what_is_here_so_that_what_was_made_of_it_stays_good() -> None:
    objects = BodiesByUid()
    objects.put(body("a", 10))
    all_before = objects.bodies()

    objects.replace_all([body("a", 10)], known_before=objects.uids())

    assert objects.bodies() is all_before


def test_of_versions_that_are_no_numbers_the_last_one_to_come_is_taken() -> None:
    objects = BodiesByUid()
    first, second = body("a"), body("a") | {"spec": {}}
    for each in (first, second):
        each["metadata"]["resourceVersion"] = "opaque"
        objects.put(each)

    assert objects.bodies() == (second,)


def test_a_list_removes_what_was_deleted_while_nobody_watched() -> None:
    objects = BodiesByUid()
    objects.put(body("gone"))
    objects.put(body("here"))

    objects.replace_all([body("here", 2)], known_before=objects.uids())

    assert (body("here", 2),) == objects.bodies()


def test_a_list_does_not_remove_what_was_created_while_it_was_taken() -> None:
    objects = BodiesByUid()
    before = objects.uids()
    objects.put(body("new"))

    objects.replace_all([], known_before=before)

    assert (body("new"),) == objects.bodies()


def test_removing_what_is_not_there_changes_nothing() -> None:
    objects = BodiesByUid()
    objects.remove("never seen")

    assert objects.bodies() == ()


def test_the_store_is_synced_once_every_resource_was_listed() -> None:
    store = ObjectStore()
    for objects in (store.worker_pools, store.deployments, store.pods, store.capacity_budgets):
        objects.replace_all([], known_before=frozenset())
    assert not store.is_synced

    store.prediction_jobs.replace_all([], known_before=frozenset())
    assert store.is_synced


def test_as_long_as_nothing_changes_all_objects_are_the_very_same_tuple() -> None:
    objects = BodiesByUid()
    objects.put(body("a"))
    before = objects.bodies()
    objects.remove("never seen")
    assert objects.bodies() is before

    objects.put(body("b"))
    assert objects.bodies() is not before
