import json
import re
from typing import Any

import pytest
import yaml
from dashboards import Panel, all_panels, dashboards
from rendered_charts import REPOSITORY, Manifest, find, render

from millrace_contracts import metrics
from millrace_contracts.metrics import Metric
from millrace_contracts.streams import IngestMetricNames
from millrace_gateway.metrics import Metrics as GatewayMetrics

pytestmark = pytest.mark.charts

PROMETHEUS_PEERS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
STREAM = {"name": "activity", "topic": "activity", "task": "a.b", "queue": "system"}
OWN_PROMETHEUS: dict[str, Any] = {
    "kafka": {"enabled": True},
    "gateway": {"enabled": True},
    "streams": [STREAM],
    "prometheus": {"enabled": False},
    "serviceMonitor": {"enabled": True, "labels": {"release": "stack"}, "intervalSeconds": 20},
    "prometheusRule": {"enabled": True, "labels": {"release": "stack"}, "runbookBaseUrl": "https://wiki.example/run"},
    "networkPolicy": {"metricsFrom": PROMETHEUS_PEERS},
    "operator": {"networkPolicy": {"metricsFrom": PROMETHEUS_PEERS}},
}
OF_THE_OPERATOR = {m.name for m in vars(metrics).values() if isinstance(m, Metric)}
OF_THE_BRIDGES = {name for key, name in vars(IngestMetricNames).items() if key.isupper()}
PANELS = list(all_panels())


def _of_the_gateway() -> set[str]:
    """Return what the gateway exports, counters by the name that Prometheus gives them."""
    gateway = GatewayMetrics()
    gateway.evicted(0)
    families = gateway.registry.collect()
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in families}


KNOWN_METRICS = OF_THE_OPERATOR | OF_THE_BRIDGES | _of_the_gateway()


def _metrics_in(query: str) -> set[str]:
    """Return Millrace's metrics in a query, histograms by the name that the contract has."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bmillrace_\w+", query)}


def _alerts(groups: list[Manifest]) -> dict[str, Manifest]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def _own_alerts(values: dict[str, Any] | None = None) -> dict[str, Manifest]:
    files = find(render(values), "ConfigMap", "r-prometheus")["data"]
    assert ["/etc/millrace/rules.yml"] == yaml.safe_load(files["prometheus.yml"])["rule_files"]
    return _alerts(yaml.safe_load(files["rules.yml"])["groups"])


def test_both_prometheuses_get_the_same_alerts() -> None:
    link = {"prometheusRule": {"runbookBaseUrl": "https://wiki.example/run"}}
    rule = find(render(OWN_PROMETHEUS), "PrometheusRule", "r-alerts")

    assert _own_alerts(link) == _alerts(rule["spec"]["groups"])
    assert "stack" == rule["metadata"]["labels"]["release"]


def test_each_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on() -> None:
    for name, alert in _own_alerts().items():
        assert alert["labels"]["severity"] in {"warning", "critical"}, name
        assert alert["annotations"]["summary"].endswith("."), name
        assert len(alert["annotations"]["description"]) > len(alert["annotations"]["summary"]), name
        assert f"docs/runbooks/{name}.md" == alert["annotations"]["runbook_url"]


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    pages = {p.stem: p.read_text(encoding="utf-8") for p in (REPOSITORY / "docs" / "runbooks").glob("Millrace*.md")}

    assert set(_own_alerts()) == set(pages)
    for name, page in pages.items():
        assert page.startswith(f"# {name}\n")
        assert ["What it means", "How to look", "What to do"] == re.findall(r"^## (.+)$", page, re.MULTILINE), name


def test_links_to_runbooks_begin_where_the_values_say() -> None:
    alerts = _own_alerts({"prometheusRule": {"runbookBaseUrl": "https://wiki.example/run"}})

    assert (
        "https://wiki.example/run/MillraceDeadLetters.md" == alerts["MillraceDeadLetters"]["annotations"]["runbook_url"]
    )


def test_no_alert_expects_a_beat_that_the_chart_does_not_run() -> None:
    assert {"MillraceBeatSilent"} == set(_own_alerts()) - set(_own_alerts({"beat": {"enabled": False}}))


def test_alerts_use_only_metrics_of_the_contract() -> None:
    for name, alert in _own_alerts().items():
        assert set() == _metrics_in(alert["expr"]) - KNOWN_METRICS, name


def test_each_part_that_has_metrics_is_monitored_through_a_service_that_exists() -> None:
    manifests = render(OWN_PROMETHEUS)
    services = [m for m in manifests if m["kind"] == "Service"]
    monitors = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "ServiceMonitor"}

    assert {"r-operator", "r-rabbitmq", "r-flower", "r-triton", "r-gateway", "r-ingest"} == monitors.keys()
    for name, monitor in monitors.items():
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        chosen = [s for s in services if wanted <= s["metadata"]["labels"].items()]
        for endpoint in monitor["spec"]["endpoints"]:
            # Two Services with the port would scrape each pod twice.
            found = [s for s in chosen if endpoint["port"] in {p["name"] for p in s["spec"]["ports"]}]
            assert 1 == len(found), (name, endpoint)
            assert "20s" == endpoint["interval"]
        assert "stack" == monitor["metadata"]["labels"]["release"]


def test_a_pools_namespace_wins_over_that_of_the_operators_pod() -> None:
    (endpoint,) = find(render(OWN_PROMETHEUS), "ServiceMonitor", "r-operator")["spec"]["endpoints"]

    assert endpoint["honorLabels"] is True


def test_queues_are_monitored_with_the_same_families_as_by_the_charts_own_prometheus() -> None:
    _, detailed = find(render(OWN_PROMETHEUS), "ServiceMonitor", "r-rabbitmq")["spec"]["endpoints"]
    jobs = yaml.safe_load(find(render(), "ConfigMap", "r-prometheus")["data"]["prometheus.yml"])["scrape_configs"]
    (own,) = [job for job in jobs if job["job_name"] == "rabbitmq-queues"]

    assert (own["metrics_path"], own["params"]) == (detailed["path"], detailed["params"])


@pytest.mark.parametrize(
    ("policy", "port"),
    [
        ("r-rabbitmq", 15692),
        ("r-flower", 5555),
        ("r-worker", 8002),
        ("r-operator", 8080),
        ("r-gateway", 8000),
        ("r-ingest", 8080),
    ],
)
def test_another_prometheus_is_let_in_to_read_metrics(policy: str, port: int) -> None:
    ingress = find(render(OWN_PROMETHEUS), "NetworkPolicy", policy)["spec"]["ingress"]

    peers = [peer for rule in ingress for peer in rule["from"] if port in {p["port"] for p in rule["ports"]}]
    assert PROMETHEUS_PEERS[0] in peers


def test_the_charts_own_prometheus_reads_each_gateway_and_bridge_by_itself() -> None:
    manifests = render(OWN_PROMETHEUS | {"prometheus": {"enabled": True}})
    config = yaml.safe_load(find(manifests, "ConfigMap", "r-prometheus")["data"]["prometheus.yml"])
    found = {job["job_name"]: job.get("dns_sd_configs", [{}])[0] for job in config["scrape_configs"]}

    for job, service, port in (("gateway", "r-gateway-pods", 8000), ("ingest", "r-ingest", 8080)):
        assert ([f"{service}.n.svc.cluster.local"], port) == (found[job]["names"], found[job]["port"])
        assert "None" == find(manifests, "Service", service)["spec"]["clusterIP"]
        egress = find(manifests, "NetworkPolicy", "r-prometheus")["spec"]["egress"][1]
        assert job in egress["to"][0]["podSelector"]["matchExpressions"][0]["values"]
        assert {"port": port} in egress["ports"]


def test_objects_of_the_prometheus_operator_are_made_only_on_request() -> None:
    assert not {"ServiceMonitor", "PrometheusRule"} & {m["kind"] for m in render()}


def test_an_alertmanager_is_told_and_can_be_reached() -> None:
    manifests = render({"prometheus": {"alertmanagers": ["alertmanager.monitoring:9093"]}})

    config = yaml.safe_load(find(manifests, "ConfigMap", "r-prometheus")["data"]["prometheus.yml"])
    (target,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert "alertmanager.monitoring:9093" == target
    egress = find(manifests, "NetworkPolicy", "r-prometheus")["spec"]["egress"]
    assert {"ports": [{"port": 9093}]} in egress


def test_dashboards_are_config_maps_that_grafanas_sidecar_finds() -> None:
    for name, dashboard in dashboards().items():
        made = find(render(), "ConfigMap", f"r-dashboard-{name}")
        assert "1" == made["metadata"]["labels"]["grafana_dashboard"]
        assert "Millrace" == made["metadata"]["annotations"]["grafana_folder"]
        assert dashboard == json.loads(made["data"][f"n-r-{name}.json"])


def test_dashboards_go_where_the_sidecar_looks() -> None:
    values = {"dashboards": {"namespace": "grafana", "label": "found_by", "labelValue": "me", "folder": ""}}

    metadata = find(render(values), "ConfigMap", "r-dashboard-pools")["metadata"]

    assert ("grafana", "me") == (metadata["namespace"], metadata["labels"]["found_by"])
    assert "annotations" not in metadata


def test_dashboards_can_be_left_out() -> None:
    names = {m["metadata"]["name"] for m in render({"dashboards": {"enabled": False}})}

    assert not {name for name in names if "dashboard" in name}


@pytest.mark.parametrize("name", dashboards())
def test_dashboard_lets_people_choose_the_source_and_the_namespace(name: str) -> None:
    dashboard = dashboards()[name]

    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert ["datasource", "namespace"] == variables[:2]
    assert len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"])
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]}
    assert len(places) == len(dashboard["panels"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_panel_has_a_unit_words_and_only_metrics_of_the_contract(panel: Panel) -> None:
    assert "${datasource}" == panel.json["datasource"]["uid"]
    assert panel.json["fieldConfig"]["defaults"]["unit"]
    assert panel.json["description"].endswith(".")
    for target, query in zip(panel.json["targets"], panel.queries(), strict=True):
        assert target["legendFormat"]
        assert set() == _metrics_in(query) - KNOWN_METRICS
