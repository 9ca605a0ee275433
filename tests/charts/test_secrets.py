import hashlib
import json
import re
from typing import Any

import pytest
from rendered_charts import Manifest, containers, env, find, pod_specs, render

pytestmark = pytest.mark.charts

EXTERNAL: dict[str, Any] = {
    "rabbitmq": {"auth": {"existingSecret": "my-rabbitmq"}},
    "redis": {"auth": {"existingSecret": "my-redis"}},
    "flower": {"auth": {"existingSecret": "my-flower"}},
    "kafka": {"enabled": True, "auth": {"existingSecret": "my-kafka"}},
    "gateway": {"enabled": True, "auth": {"existingSecret": "my-gateway"}},
    "cache": {"auth": {"existingSecret": "my-cache"}},
    "operator": {"connections": {"existingSecret": "my-operator"}},
}

SECRET_VARIABLE = r"PASSWORD|SECRET(?!S_DIR$)|ACCESS_KEY|_AUTH$|(BROKER|REDIS|CACHE|BACKEND)_URL$|BROKER_API$"


def _generated(manifests: list[Manifest]) -> set[str]:
    """Return every value of every Secret, and the passwords inside of URLs."""
    values = {v for m in manifests if m["kind"] == "Secret" for k, v in m["stringData"].items() if k != "keys.json"}
    inside = {password for v in values for password in re.findall(r"://[a-z]*:([^@]+)@", v)}
    return {v for v in values | inside if v != "millrace"}


def test_passwords_stand_in_secrets_only() -> None:
    manifests = render(local=True)
    secrets = _generated(manifests)
    assert len(secrets) >= 14

    elsewhere = json.dumps([m for m in manifests if m["kind"] != "Secret"])

    assert [] == [s for s in secrets if s in elsewhere]


def test_each_password_is_long_and_fits_into_a_url() -> None:
    for manifest in render(local=True):
        if manifest["kind"] == "Secret" and manifest["metadata"]["name"] != "r-connections":
            passwords = {k: v for k, v in manifest["stringData"].items() if k not in {"user", "keys.json"}}
            assert all(re.fullmatch(r"[A-Za-z0-9]{24}", v) for v in passwords.values()), manifest["metadata"]["name"]


def test_no_two_passwords_are_equal() -> None:
    secrets = [m for m in render(local=True) if m["kind"] == "Secret" and m["metadata"]["name"] != "r-connections"]
    values = [v for s in secrets for k, v in s["stringData"].items() if k != "user"]

    assert len(set(values)) == len(values)


def test_operator_gets_the_passwords_that_the_servers_get() -> None:
    manifests = render()
    urls = find(manifests, "Secret", "r-connections")["stringData"]
    rabbitmq = find(manifests, "Secret", "r-rabbitmq")["stringData"]["operator-password"]
    redis = find(manifests, "Secret", "r-redis")["stringData"]["password"]

    assert f"amqp://operator:{rabbitmq}@r-rabbitmq:5672/millrace" == urls["broker-url"]
    assert f"redis://:{redis}@r-redis:6379/0" == urls["redis-url"]


def test_environment_holds_credentials_by_reference_only(any_manifests: list[Manifest]) -> None:
    for name, spec in pod_specs(any_manifests):
        for container in containers(spec):
            for key, value in env(container).items():
                if re.search(SECRET_VARIABLE, key):
                    by_reference = isinstance(value, dict) and "secretKeyRef" in value
                    assert by_reference or re.search(r":\$\([A-Z_]+\)(@|$)", str(value)), f"{name}: {key}"


def test_variables_are_defined_before_they_are_used(any_manifests: list[Manifest]) -> None:
    # Kubernetes leaves "$(X)" as it is when X comes later.
    for name, spec in pod_specs(any_manifests):
        for container in containers(spec):
            known: set[str] = set()
            for key, value in env(container).items():
                assert set(re.findall(r"\$\(([A-Z_]+)\)", str(value))) <= known, f"{name}: {key}"
                known.add(key)


def test_definitions_have_placeholders_in_place_of_passwords() -> None:
    text = find(render(local=True), "ConfigMap", "r-rabbitmq")["data"]["definitions.json"]

    users = {u["name"]: u["password"] for u in json.loads(text)["users"]}

    names = ("admin", "worker", "operator", "flower", "gateway", "ingest")
    assert {name: f"@{name}-password@" for name in names} == users


def test_whoever_is_not_installed_has_no_user_at_the_broker() -> None:
    text = find(render(), "ConfigMap", "r-rabbitmq")["data"]["definitions.json"]

    assert {"admin", "worker", "operator", "flower"} == {u["name"] for u in json.loads(text)["users"]}


def test_gateway_is_told_hashes_of_the_keys_and_people_the_keys() -> None:
    secret = find(render(local=True), "Secret", "r-gateway")["stringData"]

    keys = {key["name"]: key for key in json.loads(secret["keys.json"])}
    for name, scopes in (("admin", ["predict", "admin"]), ("predict", ["predict"])):
        assert hashlib.sha256(secret[f"{name}-api-key"].encode()).hexdigest() == keys[name]["sha256"]
        assert scopes == keys[name]["scopes"]


def test_existing_secrets_replace_generated_ones() -> None:
    manifests = render(EXTERNAL)

    assert [] == [m["metadata"]["name"] for m in manifests if m["kind"] == "Secret"]
    used = {v["secret"]["secretName"] for _, spec in pod_specs(manifests) for v in spec["volumes"] if "secret" in v}
    references = re.findall(
        r'"secretKeyRef": \{"key": "[^"]+", "name": "([^"]+)"', json.dumps(manifests, sort_keys=True)
    )
    names = ("rabbitmq", "redis", "flower", "operator", "kafka", "gateway", "cache")
    assert {f"my-{name}" for name in names} == used | set(references)


def test_rendering_with_existing_secrets_is_the_same_each_time() -> None:
    # What GitOps tools need: they render without the cluster, so generated passwords would change at each sync.
    first = render(EXTERNAL | {"commonLabels": {"run": "1"}})
    second = render(EXTERNAL | {"commonLabels": {"run": "2"}})

    assert json.dumps(first).replace('"run": "1"', "") == json.dumps(second).replace('"run": "2"', "")


def test_external_servers_are_reached_by_the_urls_of_their_secrets() -> None:
    manifests = render(
        {
            "rabbitmq": {"enabled": False},
            "externalBroker": {"existingSecret": "my-broker"},
            "redis": {"enabled": False},
            "externalRedis": {"existingSecret": "my-redis"},
            "operator": {
                "connections": {
                    "brokerUrlSecretRef": {"name": "my-broker", "key": "operator-url"},
                    "redisUrlSecretRef": {"name": "my-redis"},
                    "brokerMetricsUrls": ["http://a:15692", "http://b:15692"],
                },
            },
        }
    )

    worker = env(find(manifests, "Deployment", "r-worker-system")["spec"]["template"]["spec"]["containers"][0])
    operator = env(find(manifests, "Deployment", "r-operator")["spec"]["template"]["spec"]["containers"][0])
    flower = env(find(manifests, "Deployment", "r-flower")["spec"]["template"]["spec"]["containers"][0])
    assert {"secretKeyRef": {"name": "my-broker", "key": "worker-url"}} == worker["MILLRACE_BROKER_URL"]
    assert {"secretKeyRef": {"name": "my-redis", "key": "redis-url"}} == worker["MILLRACE_REDIS_URL"]
    assert {"secretKeyRef": {"name": "my-broker", "key": "operator-url"}} == operator["MILLRACE_BROKER_URL"]
    assert {"secretKeyRef": {"name": "my-redis", "key": "redis-url"}} == operator["MILLRACE_REDIS_URL"]
    assert {"secretKeyRef": {"name": "my-broker", "key": "flower-api-url"}} == flower["FLOWER_BROKER_API"]
    assert "http://a:15692,http://b:15692" == operator["MILLRACE_BROKER_METRICS_URLS"]
    assert ["r-flower"] == [m["metadata"]["name"] for m in manifests if m["kind"] in {"StatefulSet", "Secret"}]
