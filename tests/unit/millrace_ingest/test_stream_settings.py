"""What a bridge is told, and which mistakes in it are found at the start."""

import json
from pathlib import Path
from typing import Any

import pytest

from millrace_ingest.errors import SettingsInvalid
from millrace_ingest.settings import read_settings, read_stream

STREAM = {"name": "activity", "topic": "events", "group": "millrace", "task": "features.update", "queue": "features"}


def written(folder: Path, stream: dict[str, Any]) -> Path:
    file = folder / "stream.json"
    file.write_text(json.dumps(stream))
    return file


def test_a_stream_needs_no_more_than_names(tmp_path: Path) -> None:
    stream = read_stream(written(tmp_path, STREAM))
    assert (100, 0.05, "events.dead", "earliest") == (
        stream.batch_records,
        stream.linger_seconds,
        stream.dead_letters,
        stream.start_from,
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batchRecord": 5}, "batchRecord: Extra inputs"),
        ({"topic": "no spaces"}, "topic: "),
        ({"deadLetterTopic": "events"}, "another topic"),
        ({"highWaterMessages": 5, "lowWaterMessages": 5}, "lowWaterMessages must be less"),
        ({"consumer": {"enable.auto.commit": True}}, "cannot be set here: enable.auto.commit"),
        ({"fields": {"user": "u"}, "required": ["item"]}, "does not make: item"),
        ({"fields": {"user": "u"}, "keyField": "item"}, "does not make: item"),
        ({"arguments": {"batch": 1}}, "cannot hold `batch`"),
        ({"valueFormat": "avro"}, "valueFormat"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read_stream(written(tmp_path, STREAM | wrong))
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="set MILLRACE_INGEST_CONFIG_FILE"):
        read_stream(tmp_path / "absent.json")


def test_a_missing_variable_is_named_and_no_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_BROKER_URL", "amqp://worker:geheim@rabbitmq/millrace")
    with pytest.raises(SettingsInvalid, match="MILLRACE_INGEST_CONFIG_FILE") as caught:
        read_settings()
    assert "geheim" not in str(caught.value)
