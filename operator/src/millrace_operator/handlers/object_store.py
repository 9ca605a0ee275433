"""The objects that the operator watches, in memory.

Watch events keep it fresh within milliseconds. A watch that had to start anew does not tell what was deleted meanwhile,
so `replace_all` compares it with a full list now and then. Each body is replaced, never changed: readers may keep it.
"""

from typing import Any

Body = dict[str, Any]


class BodiesByUid:
    """The objects of one resource."""

    def __init__(self) -> None:
        self._bodies: dict[str, Body] = {}
        self._all: tuple[Body, ...] | None = ()
        self._is_listed = False

    @property
    def is_listed(self) -> bool:
        """Tell whether a full list was taken in since the start."""
        return self._is_listed

    def __contains__(self, uid: str) -> bool:
        """Tell whether an object is here."""
        return uid in self._bodies

    def bodies(self) -> tuple[Body, ...]:
        """Return all objects, in the order in which they were first seen; the very same tuple until one changes."""
        if self._all is None:
            self._all = tuple(self._bodies.values())
        return self._all

    def uids(self) -> frozenset[str]:
        """Return which objects are here now: take it before a list, hand it to `replace_all` after it."""
        return frozenset(self._bodies)

    def put(self, body: Body) -> None:
        """Take in an object, unless this version of it, or a newer one, is here: what was made of it stays good."""
        uid = body["metadata"]["uid"]
        known = self._bodies.get(uid)
        if known is None or _is_newer(body, known):
            self._bodies[uid] = body
            self._all = None

    def remove(self, uid: str) -> None:
        """Forget an object; one that is not here changes nothing."""
        if self._bodies.pop(uid, None) is not None:
            self._all = None

    def replace_all(self, listed: list[Body], *, known_before: frozenset[str]) -> None:
        """Take in a full list; objects that were known before it was taken and are not in it are gone."""
        listed_uids = {body["metadata"]["uid"] for body in listed}
        for gone in known_before - listed_uids:
            self.remove(gone)
        for body in listed:
            self.put(body)
        self._is_listed = True


class ObjectStore:
    """All resources that the operator watches."""

    def __init__(self) -> None:
        self.worker_pools = BodiesByUid()
        self.prediction_jobs = BodiesByUid()
        self.deployments = BodiesByUid()
        self.pods = BodiesByUid()
        self.capacity_budgets = BodiesByUid()

    @property
    def is_synced(self) -> bool:
        """Tell whether every resource was listed once."""
        return all(
            objects.is_listed
            for objects in (
                self.worker_pools,
                self.prediction_jobs,
                self.deployments,
                self.pods,
                self.capacity_budgets,
            )
        )


def _is_newer(body: Body, known: Body) -> bool:
    version, before = _version(body), _version(known)
    # Of versions that are no numbers the last one to come is taken.
    return version > before or version == before == 0


def _version(body: Body) -> int:
    # The versions of one object only grow, and are decimal numbers in every Kubernetes with etcd behind it.
    version = body["metadata"].get("resourceVersion", "")
    return int(version) if version.isdecimal() else 0
