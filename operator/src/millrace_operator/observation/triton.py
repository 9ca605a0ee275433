"""Read how Triton gets on with its requests, from its own counters: where did a request spend its time lately?

A pool's Triton is one address (each replica behind it is read, not a random one), or a port of every pod; of many pods
a few stand for all. Reads go on in the background: nobody waits for a Triton, and without an answer nothing is known,
which stops nothing.
"""

import asyncio
import re
import socket
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from millrace_operator.api.worker_pool import TritonReference
from millrace_operator.clock import Clock
from millrace_operator.errors import ObservationError
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.observation.bounded_http import read_page

WINDOW_SECONDS: Final = 10.0
INTERVAL_SECONDS: Final = 2.0
MOST_SERVERS: Final = 5
"""Of one pool; pods of a pool do the same work."""
MOST_REQUESTS: Final = 20
"""At the same time."""
MICROSECONDS: Final = 1e6
_SAMPLE: Final = re.compile(
    r"^nv_inference_(request_success|queue_duration_us|compute_(?:input|infer|output)_duration_us)(\{[^}]*\})? (\S+)",
    re.MULTILINE,
)
Key = tuple[str, str]
Targets = Mapping[Key, tuple[TritonReference, Sequence[str]]]
Counters = Mapping[tuple[str, str], float]
"""By name and labels."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one server is read, and the name by which it was asked for."""

    url: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """What one server did between two reads."""

    until: float
    seconds: float
    requests: float
    queue_seconds: float
    compute_seconds: float


class Server:
    """One Triton: the spells of the last seconds."""

    def __init__(self) -> None:
        self._last: tuple[float, Counters] | None = None
        self._spells: deque[Spell] = deque()

    def take_in(self, counters: Counters, *, now: float) -> None:
        """Add a read."""
        if self._last is not None and self._last[0] < now:
            self._spells.append(spell_between(self._last[1], counters, until=now, seconds=now - self._last[0]))
        self._last = (now, counters)

    def spells_since(self, limit: float) -> Sequence[Spell]:
        """Answer what it did since; older spells are forgotten."""
        while self._spells and self._spells[0].until < limit:
            self._spells.popleft()
        return self._spells


class TritonLoads:
    """Knows the loads of all pools' Tritons."""

    def __init__(self, *, timeout_seconds: float, clock: Clock) -> None:
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._client = httpx.AsyncClient(timeout=timeout_seconds, trust_env=False)
        self._servers: dict[Address, Server] = {}
        self._servers_of: dict[Key, tuple[Address, ...]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._began = float("-inf")

    async def loads(self, targets: Targets) -> Mapping[Key, InferenceLoad | None]:
        """Answer what is known now, at once; None: nothing. Begin another read when it is time."""
        now = self._clock.monotonic_seconds()
        if (self._reading is None or self._reading.done()) and now - self._began >= INTERVAL_SECONDS:
            self._began = now
            self._reading = asyncio.create_task(self._read(dict(targets)))
        return {key: self._load(self._servers_of.get(key, ()), now) for key in targets}

    async def close(self) -> None:
        """Stop reading and close the connections."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._client.aclose()

    def _load(self, addresses: Iterable[Address], now: float) -> InferenceLoad | None:
        known = (self._servers[address] for address in addresses if address in self._servers)
        return load([each.spells_since(now - WINDOW_SECONDS) for each in known])

    async def _read(self, targets: Targets) -> None:
        found = await asyncio.gather(*(self._addresses(*target) for target in targets.values()))
        self._servers_of = dict(zip(targets, found, strict=True))
        addresses = {address for each in found for address in each}
        self._servers = {address: server for address, server in self._servers.items() if address in addresses}
        turns = asyncio.Semaphore(MOST_REQUESTS)
        await asyncio.gather(*(self._read_one(address, turns) for address in addresses))

    async def _addresses(self, reference: TritonReference, pod_ips: Sequence[str]) -> tuple[Address, ...]:
        if not reference.metrics_url:
            hosts = _hosts(pod_ips)
            return tuple(Address(f"http://{host}:{reference.metrics_port}/metrics", host) for host in hosts)
        url = urlsplit(reference.metrics_url)
        if url.scheme != "http" or not url.hostname:
            # A certificate is for the name.
            return (Address(reference.metrics_url, url.netloc),)
        port = f":{url.port}" if url.port else ""
        hosts = _hosts(await self._resolve(url.hostname))
        return tuple(Address(urlunsplit(url._replace(netloc=host + port)), url.netloc) for host in hosts)

    async def _resolve(self, host: str) -> set[str]:
        """Answer all addresses of a name: behind a headless Service each is a Triton of its own."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError):
            return set()
        return {str(address[0]) for *_, address in found}

    async def _read_one(self, address: Address, turns: asyncio.Semaphore) -> None:
        try:
            async with turns:
                status, body = await read_page(self._client, "GET", address.url, headers={"Host": address.host})
        except ObservationError:
            # Without an answer nothing is known of the last seconds, and that is what `load` answers.
            return
        counters = counters_in(body.decode(errors="replace")) if status == httpx.codes.OK else {}
        if counters:
            server = self._servers.setdefault(address, Server())
            server.take_in(counters, now=self._clock.monotonic_seconds())


def _hosts(ips: Iterable[str]) -> Sequence[str]:
    """Choose the same few servers each time, so that their counters can be compared."""
    return [f"[{ip}]" if ":" in ip else ip for ip in sorted(filter(None, ips))[:MOST_SERVERS]]


def counters_in(page: str) -> Counters:
    """Read Triton's counters of requests and of their time; none: it is no page of a Triton."""
    found: dict[tuple[str, str], float] = {}
    for name, labels, value in _SAMPLE.findall(page):
        try:
            found[name, labels] = float(value)
        except ValueError:
            return {}
    return found


def spell_between(before: Counters, after: Counters, *, until: float, seconds: float) -> Spell:
    """Tell what happened between two reads; a counter that fell began anew at 0, and so did one that is new."""
    rises = {
        key: value - before.get(key, 0.0) if value >= before.get(key, 0.0) else value for key, value in after.items()
    }
    compute = sum(rise for (name, _), rise in rises.items() if name.startswith("compute"))
    return Spell(
        until=until,
        seconds=seconds,
        requests=sum(rise for (name, _), rise in rises.items() if name == "request_success"),
        queue_seconds=sum(rise for (name, _), rise in rises.items() if name == "queue_duration_us") / MICROSECONDS,
        compute_seconds=compute / MICROSECONDS,
    )


def load(servers: Iterable[Sequence[Spell]]) -> InferenceLoad | None:
    """Put the last seconds of all servers together; None: nothing is known of any."""
    known = [spells for spells in servers if spells]
    if not known:
        return None
    spells = [spell for each in known for spell in each]
    requests = sum(spell.requests for spell in spells)
    if not requests:
        return InferenceLoad(requests_per_second=0.0, queue_seconds=0.0, compute_seconds=0.0)
    rates = (sum(spell.requests for spell in each) / sum(spell.seconds for spell in each) for each in known)
    return InferenceLoad(
        requests_per_second=sum(rates),
        queue_seconds=sum(spell.queue_seconds for spell in spells) / requests,
        compute_seconds=sum(spell.compute_seconds for spell in spells) / requests,
    )
