from typing import Any

import pytest
from rendered_charts import env, find, render

pytestmark = pytest.mark.charts

CLUSTER: dict[str, Any] = {"rbac": {"scope": "cluster"}}


def _rules(role: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (g, r, v) for rule in role["rules"] for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]
    }


@pytest.mark.parametrize("values", [{}, CLUSTER], ids=["namespaced", "cluster"])
def test_operator_may_do_nothing_that_it_does_not_do(values: dict[str, Any]) -> None:
    roles = [m for m in render(values, chart="millrace-operator") if m["kind"] in {"Role", "ClusterRole"}]
    rules = set().union(*map(_rules, roles))

    assert not any("*" in rule for rule in rules)
    assert not any("secrets" in resource for _, resource, _ in rules)
    changing = {(r, v) for _, r, v in rules if v not in {"get", "list", "watch"}}
    assert {
        ("predictionjobs", "delete"),
        ("workerpools/status", "patch"),
        ("predictionjobs/status", "patch"),
        ("capacitybudgets/status", "patch"),
        # They tell what stands in Redis.
        ("modelversions", "create"),
        ("modelversions", "delete"),
        ("modelversions/status", "patch"),
        # Annotations alone: which pods are to go, and that Kubernetes shall take those.
        ("pods", "patch"),
        ("deployments/scale", "patch"),
        ("deployments/scale", "update"),
        ("events", "create"),
        ("events", "patch"),
    } == changing


def test_namespaced_operator_has_no_rights_in_the_cluster() -> None:
    kinds = {m["kind"] for m in render(chart="millrace-operator")}

    assert not {"ClusterRole", "ClusterRoleBinding"} & kinds


def test_operator_gets_a_role_in_each_namespace_that_it_watches() -> None:
    manifests = render({"watchNamespaces": ["a", "b"]}, chart="millrace-operator")

    for kind in ("Role", "RoleBinding"):
        assert ["a", "b"] == [m["metadata"]["namespace"] for m in manifests if m["kind"] == kind]
    subjects = [m["subjects"][0]["namespace"] for m in manifests if m["kind"] == "RoleBinding"]
    assert ["n", "n"] == subjects
    container = find(manifests, "Deployment", "r-operator")["spec"]["template"]["spec"]["containers"][0]
    assert "a,b" == env(container)["MILLRACE_NAMESPACES"]


def test_cluster_wide_operator_watches_all_namespaces() -> None:
    manifests = render(CLUSTER, chart="millrace-operator")

    container = find(manifests, "Deployment", "r-operator")["spec"]["template"]["spec"]["containers"][0]
    assert "" == env(container)["MILLRACE_NAMESPACES"]


def test_rights_can_be_left_to_others() -> None:
    kinds = {m["kind"] for m in render({"rbac": {"create": False}}, chart="millrace-operator")}

    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & kinds


def test_one_operator_goes_before_the_next_comes() -> None:
    spec = find(render(chart="millrace-operator"), "Deployment", "r-operator")["spec"]

    assert (1, "Recreate") == (spec["replicas"], spec["strategy"]["type"])


def test_idle_time_is_learned_unless_somebody_says_it() -> None:
    def seconds(values: dict[str, Any]) -> object:
        spec = find(render(values, chart="millrace-operator"), "Deployment", "r-operator")["spec"]["template"]["spec"]
        return env(spec["containers"][0]).get("MILLRACE_IDLE_SECONDS")

    assert None is seconds({})
    assert "60" == seconds({"idleSeconds": 60})


def test_other_sources_are_connected_where_they_are_named() -> None:
    connections = {"redisBrokerUrlSecretRef": {"name": "celery-redis"}, "prometheusUrl": "http://prometheus:9090"}
    manifests = render({"connections": connections}, chart="millrace-operator")

    operator = env(find(manifests, "Deployment", "r-operator")["spec"]["template"]["spec"]["containers"][0])
    assert {"secretKeyRef": {"name": "celery-redis", "key": "redis-broker-url"}} == operator[
        "MILLRACE_REDIS_BROKER_URL"
    ]
    assert "http://prometheus:9090" == operator["MILLRACE_PROMETHEUS_URL"]
    without = render(chart="millrace-operator")
    known = env(find(without, "Deployment", "r-operator")["spec"]["template"]["spec"]["containers"][0])
    assert not {"MILLRACE_REDIS_BROKER_URL", "MILLRACE_PROMETHEUS_URL"} & known.keys()
    open_ports = [
        9090 in {p["port"] for p in find(m, "NetworkPolicy", "r-operator")["spec"]["egress"][-1]["ports"]}
        for m in (manifests, without)
    ]
    assert [True, False] == open_ports


def test_platform_can_do_without_an_operator_of_its_own() -> None:
    names = {m["metadata"]["name"] for m in render({"operator": {"enabled": False}})}

    assert not {n for n in names if n.startswith("r-operator")}
