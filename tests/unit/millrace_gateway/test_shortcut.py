"""Only a request for predictions takes the short way."""

import pytest

from millrace_gateway.shortcut import model_of


def test_a_request_for_predictions_names_its_model() -> None:
    assert "scorer" == model_of({"type": "http", "method": "POST", "path": "/v1/models/scorer/predictions"})


@pytest.mark.parametrize(
    ("kind", "method", "path"),
    [
        ("http", "GET", "/v1/models/scorer/predictions"),
        ("http", "POST", "/v1/models//predictions"),
        ("http", "POST", "/v1/models/predictions"),
        ("http", "POST", "/v1/models/a/b/predictions"),
        ("http", "POST", "/v1/models/scorer/predictions/more"),
        ("http", "POST", "/v2/models/scorer/infer"),
        ("websocket", "GET", "/v1/models/scorer/predictions"),
    ],
)
def test_any_other_request_goes_its_way(kind: str, method: str, path: str) -> None:
    assert model_of({"type": kind, "method": method, "path": path}) is None
