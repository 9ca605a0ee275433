"""Which Tritons there are."""

import socket
from typing import Any

import pytest

from millrace_contracts.pipelines import Tritons
from millrace_worker.pipeline.errors import LoadFailed
from millrace_worker.pipeline.tritons import Deadline, TritonFleet


def answering(monkeypatch: pytest.MonkeyPatch, answer: list[str] | int) -> TritonFleet:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        assert "triton-each" == host
        if isinstance(answer, int):
            raise socket.gaierror(answer, "as the resolver says")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return TritonFleet(Tritons(dns="triton-each"))


def test_each_address_of_the_name_is_a_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = answering(monkeypatch, ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"])
    assert ["10.0.0.1:8001", "10.0.0.2:8001", "[fd00::1]:8001"] == fleet.addresses()


@pytest.mark.parametrize("error", [socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)])
def test_a_name_without_an_address_means_that_none_runs(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    fleet = answering(monkeypatch, error)
    assert [] == fleet.load_everywhere("clicks", "1", Deadline(1)).addresses


def test_a_resolver_that_does_not_answer_is_not_taken_for_a_pool_without_tritons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = answering(monkeypatch, socket.EAI_AGAIN)
    with pytest.raises(LoadFailed, match='"triton-each" of the Tritons is not resolved'):
        fleet.load_everywhere("clicks", "1", Deadline(0))
    assert 1 == len(fleet.restore_everywhere("clicks", "1", Deadline(0)))
