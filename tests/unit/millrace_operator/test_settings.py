"""The environment is understood, or refused with the name of the variable."""

import pytest

from millrace_operator.__main__ import main
from millrace_operator.settings import OperatorSettings

LEAST = {
    "MILLRACE_BROKER_URL": "amqp://user:secret@rabbitmq:5672/millrace",
    "MILLRACE_BROKER_METRICS_URLS": "http://rabbitmq-0:15692/, http://rabbitmq-1:15692",
    "MILLRACE_REDIS_URL": "redis://:secret@redis:6379/0",
}


def read(monkeypatch: pytest.MonkeyPatch, **more: str) -> OperatorSettings:
    for name, value in (LEAST | more).items():
        monkeypatch.setenv(name, value)
    return OperatorSettings()


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, MILLRACE_NAMESPACES="ml, web")

    assert settings.namespaces == ("ml", "web")
    assert settings.broker_metrics_urls == ("http://rabbitmq-0:15692", "http://rabbitmq-1:15692")


def test_no_namespaces_is_the_whole_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, MILLRACE_NAMESPACES="").namespaces == ()


def test_a_blank_address_is_a_source_that_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, MILLRACE_REDIS_BROKER_URL="", MILLRACE_PROMETHEUS_URL=" ")

    assert (None, None) == (settings.redis_broker_url, settings.prometheus_url)


def test_passwords_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "secret" not in repr(read(monkeypatch))


def test_what_is_missing_or_wrong_is_named_and_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LEAST:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MILLRACE_IDLE_SECONDS", "0")

    with pytest.raises(SystemExit) as exit_:
        main()

    message = str(exit_.value)
    assert "MILLRACE_BROKER_URL: Field required" in message
    assert "MILLRACE_IDLE_SECONDS: Input should be greater than or equal to 1" in message


def test_a_broker_on_redis_needs_no_metrics_of_rabbitmq_and_is_what_pools_of_source_redis_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "redis://:secret@redis:6379/1"
    settings = read(monkeypatch, MILLRACE_BROKER_KIND="redis", MILLRACE_BROKER_URL=url, MILLRACE_BROKER_METRICS_URLS="")

    assert () == settings.broker_metrics_urls
    assert settings.redis_broker_url is not None
    assert url == settings.redis_broker_url.get_secret_value()


def test_rabbitmq_without_its_metrics_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="name at least one endpoint"):
        read(monkeypatch, MILLRACE_BROKER_METRICS_URLS="")
