"""Every Triton that serves a model, and its repository API; the only module here that knows tritonclient."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from millrace_contracts.pipelines import Tritons
from millrace_worker.logs import get_logger
from millrace_worker.pipeline.errors import LoadFailed

PAUSE_SECONDS: Final = 0.2
MOST_AT_A_TIME: Final = 8
UNLOAD_SECONDS: Final = 30.0
"""An old version is unloaded when its last request is answered."""
_CALL_SECONDS: Final = 5.0
_NO_SUCH_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

log = get_logger(__name__)


class Deadline:
    """A time by which something must be done."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """How long it is until then; never less than nothing."""
        return max(0.0, self._at - time.monotonic())

    def pause(self) -> bool:
        """Wait a moment; False when the time is over."""
        threading.Event().wait(min(PAUSE_SECONDS, self.seconds_left))
        return self.seconds_left > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Who serves a version now."""

    addresses: list[str]
    silent: list[str]
    """A sentence for each that did not answer all the time."""


class TritonFleet:
    """The Tritons that are there now: they come and go with the pods of a pool."""

    def __init__(self, tritons: Tritons) -> None:
        self._tritons = tritons

    def addresses(self) -> list[str]:
        """List host:port of each; empty when none runs."""
        if self._tritons.urls:
            return sorted(self._tritons.urls)
        try:
            found = socket.getaddrinfo(self._tritons.dns, self._tritons.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                return []
            raise
        hosts = sorted({str(address[0]) for *_, address in found})
        return [f"[{host}]:{self._tritons.port}" if ":" in host else f"{host}:{self._tritons.port}" for host in hosts]

    def load_everywhere(self, model: str, version: str, deadline: Deadline) -> "Loaded":
        """Have each Triton load the model anew and answer with this version. Raises LoadFailed.

        One that appears meanwhile reads the repository by itself. It is told all the same, because it may have begun
        to read before the version was there. A pod that never answers serves nobody, and reads the repository when it
        starts: it is no reason to take the version back. One that was named by its URL is.
        """
        done: set[str] = set()
        while missing := [each for each in self._known(deadline) if each not in done]:
            with ThreadPoolExecutor(max_workers=MOST_AT_A_TIME) as pool:
                answers = list(pool.map(lambda address: _try_to_load(address, model, version, deadline), missing))
            done.update(address for address, silence in zip(missing, answers, strict=True) if silence is None)
            silent = [str(silence) for silence in answers if silence is not None]
            if silent and not deadline.pause():
                if self._tritons.urls:
                    raise LoadFailed("; ".join(silent))
                return Loaded(addresses=sorted(done), silent=silent)
        return Loaded(addresses=sorted(done), silent=[])

    def restore_everywhere(self, model: str, version: str, deadline: Deadline) -> list[str]:
        """Have each Triton serve what the repository has now; answers what went wrong, and never raises."""
        try:
            addresses = self._known(deadline)
        except LoadFailed as error:
            return [str(error)]
        troubles = []
        for address in addresses:
            try:
                if version:
                    load(address, model, version, deadline)
                else:
                    unload(address, model)
            except (LoadFailed, _NotNow) as error:
                troubles.append(str(error))
        return troubles

    def still_serving(self, model: str, version: str, addresses: list[str]) -> list[str]:
        """Wait until none of these serves the version any more; answers those that go on."""
        deadline = Deadline(UNLOAD_SECONDS)
        while True:
            left = [address for address in addresses if _is_version_ready(address, model, version)]
            if not left or not deadline.pause():
                return left

    def _known(self, deadline: Deadline) -> list[str]:
        while True:
            try:
                return self.addresses()
            except OSError as error:
                if not deadline.pause():
                    raise LoadFailed(
                        f'the name "{self._tritons.dns}" of the Tritons is not resolved: {error}'
                    ) from error


class _NotNow(Exception):  # noqa: N818 - it says what happened
    """Triton does not answer at this moment."""


def _try_to_load(address: str, model: str, version: str, deadline: Deadline) -> _NotNow | None:
    try:
        load(address, model, version, deadline)
    except _NotNow as error:
        return error
    return None


def load(address: str, model: str, version: str, deadline: Deadline) -> None:
    """Load the model and wait until the version answers; raises LoadFailed, or _NotNow."""
    with _client(address) as client:
        if not _is_live(client):
            raise _NotNow(f"Triton at {address} does not answer")
        try:
            client.load_model(model, client_timeout=max(0.1, deadline.seconds_left))
            while not client.is_model_ready(model, version, client_timeout=_CALL_SECONDS):
                if not deadline.pause():
                    raise LoadFailed(
                        f"Triton at {address} loaded {model} and does not serve version {version}; does the version "
                        "policy of its config.pbtxt leave it out?"
                    )
        except InferenceServerException as error:
            raise _meaning(client, address, model, error) from error


def unload(address: str, model: str) -> None:
    """Have a Triton serve the model no more; raises LoadFailed, or _NotNow."""
    with _client(address) as client:
        try:
            client.unload_model(model, client_timeout=UNLOAD_SECONDS)
        except InferenceServerException as error:
            raise _meaning(client, address, model, error) from error


def _is_version_ready(address: str, model: str, version: str) -> bool:
    with _client(address) as client:
        try:
            return bool(client.is_model_ready(model, version, client_timeout=_CALL_SECONDS))
        except InferenceServerException as error:
            # Not served, or not there: both are what is waited for.
            log.debug("version not ready", address=address, model=model, version=version, error=str(error))
            return False


def _meaning(client: Any, address: str, model: str, error: InferenceServerException) -> Exception:
    status = (error.status() or "").removeprefix("StatusCode.")
    message = str(error.message())
    if status == "DEADLINE_EXCEEDED":
        return LoadFailed(f"Triton at {address} did not load {model} within loadTimeoutSeconds")
    # Triton itself answers UNAVAILABLE too, for models that it cannot load.
    if status in {"UNAVAILABLE", "CANCELLED"} and not _is_live(client):
        return _NotNow(f"Triton at {address} does not answer: {message}")
    return LoadFailed(f"Triton at {address} could not load {model}: {message}")


def _is_live(client: Any) -> bool:
    try:
        return bool(client.is_server_live(client_timeout=_CALL_SECONDS))
    except InferenceServerException:
        return False


@contextmanager
def _client(address: str) -> Iterator[Any]:
    # For one call: its channels must not be there when this process is forked, nor outlive a Triton that is replaced.
    client = InferenceServerClient(address)
    try:
        yield client
    finally:
        client.close()
