"""How Kafka is reached: what librdkafka is told, and that no password is ever shown."""

import pytest

from millrace_worker.errors import SettingsInvalid
from millrace_worker.kafka_settings import read_kafka_settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("MILLRACE_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    return monkeypatch


def test_a_process_without_bootstrap_servers_has_no_kafka(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("MILLRACE_KAFKA_BOOTSTRAP_SERVERS")
    assert not read_kafka_settings().is_configured


def test_a_plain_cluster_needs_an_address_only() -> None:
    config = read_kafka_settings().client_config()
    assert (config["bootstrap.servers"], config["security.protocol"]) == ("kafka:9092", "PLAINTEXT")
    assert not [name for name in config if name.startswith(("sasl.", "ssl."))]


def test_a_cluster_with_sasl_and_tls_gets_user_and_ca(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILLRACE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    environment.setenv("MILLRACE_KAFKA_SASL_USERNAME", "worker")
    environment.setenv("MILLRACE_KAFKA_SASL_PASSWORD", "hunter2")
    environment.setenv("MILLRACE_KAFKA_CA_FILE", "/etc/ca.pem")
    settings = read_kafka_settings()
    config = settings.client_config()
    assert (config["sasl.mechanism"], config["sasl.username"], config["sasl.password"]) == (
        *("SCRAM-SHA-512", "worker", "hunter2"),
    )
    assert config["ssl.ca.location"] == "/etc/ca.pem"
    assert "hunter2" not in repr(settings)


def test_sasl_without_a_user_is_refused_without_showing_the_password(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILLRACE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    environment.setenv("MILLRACE_KAFKA_SASL_PASSWORD", "hunter2")
    with pytest.raises(SettingsInvalid, match="SASL_USERNAME and SASL_PASSWORD are needed with SASL_SSL") as caught:
        read_kafka_settings()
    assert "hunter2" not in str(caught.value)


def test_a_wrong_variable_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILLRACE_KAFKA_SECURITY_PROTOCOL", "plain")
    with pytest.raises(SettingsInvalid, match="MILLRACE_KAFKA_SECURITY_PROTOCOL: Input should be"):
        read_kafka_settings()
