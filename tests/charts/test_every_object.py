import re
from typing import Any

import pytest
from rendered_charts import Manifest, containers, env, find, pod_specs, render

pytestmark = pytest.mark.charts


def test_every_object_has_a_kind_a_name_and_the_common_labels(any_manifests: list[Manifest]) -> None:
    for manifest in any_manifests:
        assert {"apiVersion", "kind", "metadata"} <= manifest.keys()
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", manifest["metadata"]["name"])
        labels = manifest["metadata"]["labels"]
        assert "millrace" == labels["app.kubernetes.io/part-of"], manifest["metadata"]["name"]
        assert "r" == labels["app.kubernetes.io/instance"]


def test_no_object_is_rendered_twice(any_manifests: list[Manifest]) -> None:
    names = [(m["kind"], m["metadata"]["name"]) for m in any_manifests]

    assert sorted(set(names)) == sorted(names)


def test_namespaced_objects_name_the_namespace_of_the_release(any_manifests: list[Manifest]) -> None:
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}

    elsewhere = [m for m in any_manifests if m["kind"] not in cluster_wide and m["metadata"].get("namespace") != "n"]

    assert [] == elsewhere


def test_every_pod_meets_the_restricted_profile(any_manifests: list[Manifest]) -> None:
    for name, spec in pod_specs(any_manifests):
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert {"type": "RuntimeDefault"} == spec["securityContext"]["seccompProfile"], name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert not any("hostPath" in v for v in spec["volumes"]), name
        for container in containers(spec):
            context = container["securityContext"]
            assert {"drop": ["ALL"]} == context["capabilities"], name
            assert (False, True) == (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]), name


def test_only_those_who_ask_the_api_get_a_token(any_manifests: list[Manifest]) -> None:
    with_token = {name for name, spec in pod_specs(any_manifests) if spec["automountServiceAccountToken"]}

    assert with_token <= {"Deployment/r-operator", "Deployment/r-worker-system", "Pod/r-test-prediction"}


def test_no_pod_gets_service_links(any_manifests: list[Manifest]) -> None:
    # Kubernetes would set FLOWER_PORT and the like, which programs take for their own options.
    assert not any(spec["enableServiceLinks"] for _, spec in pod_specs(any_manifests))


def test_every_volume_that_is_mounted_exists(any_manifests: list[Manifest]) -> None:
    claims = {
        f"{m['kind']}/{m['metadata']['name']}": {
            t["metadata"]["name"] for t in m["spec"].get("volumeClaimTemplates", [])
        }
        for m in any_manifests
        if m["kind"] == "StatefulSet"
    }
    for name, spec in pod_specs(any_manifests):
        volumes = {v["name"] for v in spec["volumes"]} | claims.get(name, set())
        mounted = {mount["name"] for c in containers(spec) for mount in c["volumeMounts"]}
        assert volumes == mounted, name


def test_every_container_asks_for_resources_and_bounds_its_memory_or_its_pool_does(
    any_manifests: list[Manifest],
) -> None:
    for name, spec in pod_specs(any_manifests):
        for container in containers(spec):
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name


def test_long_running_containers_have_probes(any_manifests: list[Manifest]) -> None:
    for name, spec in pod_specs(any_manifests):
        if name.startswith("Pod/"):
            continue
        for container in spec["containers"]:
            assert {"startupProbe", "livenessProbe"} <= container.keys(), name


def test_no_probe_asks_celery(any_manifests: list[Manifest]) -> None:
    for name, spec in pod_specs(any_manifests):
        for container in containers(spec):
            probes = [container[p] for p in ("startupProbe", "livenessProbe", "readinessProbe") if p in container]
            assert "celery" not in str(probes), name
            assert "rabbitmq-diagnostics" not in str(probes), name


def test_selectors_of_services_match_pods_of_the_release() -> None:
    manifests = render(local=True)
    pods = [
        m["spec"]["template"]["metadata"]["labels"] for m in manifests if m["kind"] in {"Deployment", "StatefulSet"}
    ]
    for service in [m for m in manifests if m["kind"] == "Service"]:
        selector = service["spec"]["selector"].items()
        assert any(selector <= labels.items() for labels in pods), service["metadata"]["name"]


def _selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Say whether a selector takes a pod, as Kubernetes would."""
    named = selector["matchLabels"].items() <= labels.items()
    expressions = selector.get("matchExpressions", [])
    return named and all((labels.get(e["key"]) in e["values"]) == (e["operator"] == "In") for e in expressions)


def test_every_pod_is_behind_a_network_policy_for_both_directions(any_manifests: list[Manifest]) -> None:
    policies = [m["spec"] for m in any_manifests if m["kind"] == "NetworkPolicy"]
    workloads = [m for m in any_manifests if m["kind"] in {"Deployment", "StatefulSet", "Pod"}]
    for workload in workloads:
        template = workload if workload["kind"] == "Pod" else workload["spec"]["template"]
        matching = [p for p in policies if _selects(p["podSelector"], template["metadata"]["labels"])]
        assert [["Ingress", "Egress"]] == [p["policyTypes"] for p in matching], workload["metadata"]["name"]


def test_network_policies_disappear_when_switched_off() -> None:
    off = {"enabled": False}
    manifests = render({"networkPolicy": off, "operator": {"networkPolicy": off}})

    assert "NetworkPolicy" not in {m["kind"] for m in manifests}


@pytest.mark.parametrize("component", ["flower", "beat", "prometheus", "kafka", "gateway", "cache"])
def test_component_that_is_switched_off_leaves_nothing(component: str) -> None:
    manifests = render({component: {"enabled": False}})

    assert [] == [m["metadata"]["name"] for m in manifests if m["metadata"]["name"] == f"r-{component}"]


def test_no_image_is_latest_or_from_bitnami(any_manifests: list[Manifest]) -> None:
    for name, spec in pod_specs(any_manifests):
        for container in containers(spec):
            image = container["image"]
            assert re.search(r":[^/:]+$|@sha256:[0-9a-f]{64}$", image), f"{name}: {image} has no tag"
            assert not image.endswith(":latest"), name
            assert "bitnami" not in image, name


def test_every_image_can_be_set_by_registry_tag_and_digest() -> None:
    digest = f"sha256:{'a' * 64}"
    image = {"registry": "registry.example/", "repository": "any/thing", "digest": digest}
    pool = {"name": "p", "triton": {"mode": "sidecar", "modelRepository": {"uri": "s3://m"}}}
    servers = ("operator", "rabbitmq", "redis", "prometheus", "kafka", "cache", "gateway")
    overrides: dict[str, Any] = {part: {"enabled": True, "image": image} for part in servers}
    overrides |= {part: {"image": image} for part in ("worker", "triton", "ingest")}
    stream = {"name": "s", "topic": "t", "task": "a.b", "queue": "p"}

    manifests = render(overrides | {"workerPools": [pool], "streams": [stream]})

    images = {c["image"] for _, spec in pod_specs(manifests) for c in containers(spec)}
    assert {f"registry.example/any/thing@{digest}"} == images


def test_global_registry_goes_before_images_without_one() -> None:
    manifests = render({"global": {"imageRegistry": "registry.example"}})

    images = {c["image"].split("/")[0] for _, spec in pod_specs(manifests) for c in containers(spec)}
    assert {"registry.example"} == images


def test_pull_secrets_reach_every_pod() -> None:
    manifests = render({"global": {"imagePullSecrets": [{"name": "pull"}]}})

    assert {"pull"} == {spec["imagePullSecrets"][0]["name"] for _, spec in pod_specs(manifests)}


def test_operator_reads_the_connections_that_the_platform_writes() -> None:
    manifests = render()

    secret = find(manifests, "Secret", "r-connections")
    operator = env(find(manifests, "Deployment", "r-operator")["spec"]["template"]["spec"]["containers"][0])
    used = {operator[n]["secretKeyRef"]["key"] for n in ("MILLRACE_BROKER_URL", "MILLRACE_REDIS_URL")}
    assert secret["stringData"].keys() == used
    assert "http://r-rabbitmq:15692" == operator["MILLRACE_BROKER_METRICS_URLS"]


def test_every_python_process_is_started_by_tini(any_manifests: list[Manifest]) -> None:
    # As process 1 a Python that still imports ignores SIGTERM, and the pod stays until its grace period ends.
    for name, spec in pod_specs(any_manifests):
        for container in containers(spec):
            words = container.get("command", [])
            if {"celery", "python", "millrace-gateway", "millrace-ingest"} & set(words):
                # Without -g: the processes of a pool must finish their tasks, so SIGTERM is not for them.
                assert ["tini", "--"] == words[:2], name
