"""What PredictionJobs reach beyond claims and Kafka: the object store, web servers, and who is told of them."""

import pytest
from rendered_charts import Manifest, Values, containers, digits_pool, env, find, render

pytestmark = pytest.mark.charts

STORE: Values = {"endpointUrl": "http://s3.example:9000", "existingSecret": "my-store", "ports": [9000]}
POOLS = ("digits", "system")


def _worker(manifests: list[Manifest], pool: str) -> tuple[Manifest, Manifest]:
    spec = find(manifests, "Deployment", f"r-worker-{pool}")["spec"]["template"]["spec"]
    (worker,) = [each for each in containers(spec) if each["name"] == "worker"]
    return spec, worker


def _ports(manifests: list[Manifest], policy: str, *, anywhere: bool) -> set[int]:
    """Answer the ports that are open: at any address, or at addresses that are named."""
    rules = find(manifests, "NetworkPolicy", policy)["spec"]["egress"]
    return {port["port"] for rule in rules if ("to" not in rule) == anywhere for port in rule["ports"]}


def _web_ports(manifests: list[Manifest], policy: str) -> list[int]:
    rules = find(manifests, "NetworkPolicy", policy)["spec"]["egress"]
    return [port["port"] for rule in rules if "ipBlock" in str(rule.get("to")) for port in rule["ports"]]


@pytest.mark.parametrize("pool", POOLS)
def test_all_workers_know_the_object_store_and_its_keys_by_reference(pool: str) -> None:
    _, worker = _worker(render(digits_pool() | {"objectStore": STORE}), pool)

    known = {name: value for name, value in env(worker).items() if name.startswith("AWS_")}
    keys = {name: known.pop(name)["secretKeyRef"] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    assert {name: {"name": "my-store", "key": name} for name in keys} == keys
    assert known.pop("AWS_SESSION_TOKEN")["secretKeyRef"]["optional"]
    region = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1")
    assert region | {"AWS_ENDPOINT_URL_S3": "http://s3.example:9000"} == known


@pytest.mark.parametrize("policy", ["r-worker", "r-worker-system"])
def test_all_workers_reach_the_object_store_when_there_is_one(policy: str) -> None:
    assert 9000 in _ports(render({"objectStore": STORE}), policy, anywhere=True)
    assert 9000 not in _ports(render({"objectStore": {"ports": [9000]}}), policy, anywhere=True)


def test_without_an_object_store_nothing_says_where_one_is() -> None:
    _, worker = _worker(render(digits_pool()), "digits")

    assert [] == [name for name in env(worker) if name.startswith("AWS_")]


@pytest.mark.parametrize("pool", POOLS)
def test_workers_that_the_cloud_knows_need_no_keys_and_get_no_token_of_kubernetes(pool: str) -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/millrace"}
    manifests = render(digits_pool() | {"objectStore": {"serviceAccountAnnotations": role}})

    spec, worker = _worker(manifests, pool)
    account = find(manifests, "ServiceAccount", spec["serviceAccountName"])
    assert role == account["metadata"]["annotations"]
    assert (pool == "system") is spec["automountServiceAccountToken"]
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"} & env(worker).keys()


def test_a_system_pool_that_submits_nothing_has_the_account_of_all_workers() -> None:
    values: Values = {"objectStore": {"serviceAccountAnnotations": {"a": "b"}}, "systemPool": {"submitJobs": False}}

    spec, _ = _worker(render(values), "system")

    assert ("r-worker", False) == (spec["serviceAccountName"], spec["automountServiceAccountToken"])


def test_only_the_system_pool_holds_what_signs_notifications() -> None:
    manifests = render(digits_pool() | {"notifications": {"existingSecret": "my-webhooks"}})

    spec, worker = _worker(manifests, "system")
    (mount,) = [each for each in worker["volumeMounts"] if each["name"] == "notification-secrets"]
    assert (env(worker)["MILLRACE_NOTIFICATION_SECRETS_DIR"], True) == (mount["mountPath"], mount["readOnly"])
    (volume,) = [each for each in spec["volumes"] if each["name"] == "notification-secrets"]
    assert {"secretName": "my-webhooks", "defaultMode": 0o440} == volume["secret"]
    assert "my-webhooks" not in str(_worker(manifests, "digits"))


def test_web_servers_are_closed_until_their_ports_are_named() -> None:
    assert [] == _web_ports(render(), "r-worker")
    assert [] == _web_ports(render(), "r-worker-system")


def test_inputs_are_read_by_all_workers_and_webhooks_called_by_the_system_pool() -> None:
    manifests = render({"httpInputs": {"ports": [443, 8080]}, "notifications": {"ports": [443, 8443]}})

    assert [443, 8080] == _web_ports(manifests, "r-worker")
    assert [443, 8080, 8443] == _web_ports(manifests, "r-worker-system")


def test_no_url_of_a_user_reaches_the_address_that_hands_out_rights_of_the_node() -> None:
    manifests = render({"httpInputs": {"ports": [80]}})

    (rule,) = [r for r in find(manifests, "NetworkPolicy", "r-worker")["spec"]["egress"] if "ipBlock" in str(r)]
    left_out = {each for peer in rule["to"] for each in peer["ipBlock"]["except"]}
    assert {"169.254.0.0/16", "fd00:ec2::254/128"} <= left_out
