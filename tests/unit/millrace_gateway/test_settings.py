"""The config file, and what is said of a wrong one."""

import json
from pathlib import Path
from typing import Any

import pytest

from millrace_gateway.errors import SettingsInvalid
from millrace_gateway.settings import Config, Settings, read_settings

MODEL = {"name": "m", "queue": "q"}


def read(folder: Path, config: Any) -> Config:
    file = folder / "gateway.json"
    file.write_text(json.dumps(config))
    settings = Settings(broker_url="amqp://u:secret@h/v", redis_url="redis://h", gateway_config_file=file)
    return settings.config


def test_queues_are_those_of_all_models(tmp_path: Path) -> None:
    models = [{**MODEL, "batchQueue": "slow"}, {"name": "n", "queue": "q"}]
    assert ("q", "slow") == read(tmp_path, {"models": models}).queues


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model": []}, "model: Extra inputs"),
        ({"models": [{"name": "m"}]}, "models.0.queue"),
        ({"models": [MODEL, MODEL]}, "m stands there more than once"),
        ({"auth": {"mode": "oidc"}}, "needs oidc.issuer"),
        ({"maxBodyBytes": 1}, "maxBodyBytes"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, config: Any, says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        read(tmp_path, config)


def test_a_missing_variable_is_named_and_no_value_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_BROKER_URL", "amqp://u:secret@h/v")
    monkeypatch.setenv("MILLRACE_PORT", "secret-too")
    with pytest.raises(SettingsInvalid) as refused:
        read_settings()
    assert "redis_url" in str(refused.value)
    assert "secret" not in str(refused.value)
