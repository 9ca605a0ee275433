"""Read Celery's queues on a Redis broker: one pipeline for all of them, however many.

What waits of a queue are the lengths of its lists, one a priority. What workers hold stands in one hash for all queues
(`unacked`), each message with its routing key at its end; so each message is looked at once, when it is first seen, by
a script that returns nothing but that end. Counted are therefore also tasks that a worker has reserved, and those with
an ETA, which Celery keeps in a worker's memory when the broker is Redis: their pods must stay until they are due.
Redis counts no completions; the workers' heartbeats do (`totals`).

**A zero here.** Redis deletes empty lists, so a list that is missing is empty. It counts because the same connection
says in the same round trip that the server is a master (a replica may be behind), and because a server that is still
loading its data answers every command with an error. What cannot be seen: a wrong database number, whose queues are
all empty.

Not supported: Sentinel addresses, Redis Cluster, other `priority_steps` or `sep` than Celery's defaults.
"""

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from textwrap import shorten
from typing import Any, Final

from kombu.transport.redis import PRIORITY_STEPS, Channel
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from millrace_operator.clock import Clock
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown

SEPARATOR: Final[str] = Channel.sep
UNACKED: Final[str] = Channel.unacked_key
UNACKED_INDEX: Final[str] = Channel.unacked_index_key
BINDINGS: Final[str] = Channel.keyprefix_queue % "{}"
ENDINGS: Final = tuple(f"{SEPARATOR}{priority}" if priority else "" for priority in PRIORITY_STEPS)
"""Of the names of a queue's lists."""
MOST_HELD_MESSAGES: Final = 20_000
"""So many are told apart by queue; of more than that, the newest, and the rest is taken to be spread like them."""
MESSAGES_OF_ONE_CALL: Final = 2_000
"""The script looks at so many at a time, some ms, so that it does not hold up other clients of Redis."""
LONGEST_EXPLANATION: Final = 300
QUEUES_OF_ONE_CALL: Final = 1_000
WAITING: Final = """
local waiting = {}
for i, queue in ipairs(KEYS) do
  waiting[i] = 0
  for _, ending in ipairs(ARGV) do
    local length = redis.pcall('LLEN', queue .. ending)
    if type(length) ~= 'number' then
      waiting[i] = -1
      break
    end
    waiting[i] = waiting[i] + length
  end
end
return waiting
"""
"""The length of all lists of a queue together; -1: one of them is no list."""
ENDS: Final = """
local ends = {}
for i, tag in ipairs(ARGV) do
  local message = redis.call('HGET', KEYS[1], tag)
  ends[i] = message and string.sub(message, -2048) or ''
end
return ends
"""
_STRING: Final = r'("(?:[^"\\]|\\.)*")'
_END: Final = re.compile(rf"\}}\s*,\s*{_STRING}\s*,\s*{_STRING}\s*\]$")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message was sent to."""

    exchange: str
    routing_key: str


class RedisLists:
    """Reads the queues of one Redis database."""

    def __init__(self, *, url: str, timeout_seconds: float, clock: Clock, key_prefix: str = "") -> None:
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._prefix = key_prefix
        self._redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            # A connection that was closed meanwhile deserves a second try; the next pass is the third.
            retry=Retry(NoBackoff(), 1),
        )
        self._holders: dict[str, frozenset[str]] = {}
        """Which queues a held message belongs to, by its tag."""

    async def observe(self, queues: Collection[str]) -> Mapping[str, Reading]:
        """Read all of `queues` at once."""
        if not queues:
            return {}
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._read(tuple(queues))
        except TimeoutError:
            return dict.fromkeys(queues, _away("no answer in time"))
        except AuthenticationError as error:
            return dict.fromkeys(queues, _away(f"{error}; see MILLRACE_REDIS_BROKER_URL"))
        except (RedisError, OSError) as error:
            return dict.fromkeys(queues, _away(str(error) or type(error).__name__))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _read(self, queues: Sequence[str]) -> dict[str, Reading]:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.execute_command("HELLO")
        for batch in _batches([self._prefix + queue for queue in queues], QUEUES_OF_ONE_CALL):
            pipeline.eval(WAITING, len(batch), *batch, *ENDINGS)
        # After the lists: a message that is taken meanwhile is counted twice, rather than not at all.
        pipeline.zcard(self._prefix + UNACKED_INDEX)
        pipeline.zrange(self._prefix + UNACKED_INDEX, 0, MOST_HELD_MESSAGES - 1, desc=True)
        answers = await pipeline.execute(raise_on_error=False)
        read_at = self._clock.now().timestamp()
        for answer in answers:
            _raise_refused(answer)
        hello, *batches, held, tags = answers
        if _role(hello) != "master":
            return dict.fromkeys(queues, _away("it is a replica, which may be behind; name the master"))
        await self._learn(tags)
        counts = Counter(queue for tag in tags for queue in self._holders.get(tag, ()))
        spread = held / len(tags) if tags else 1.0
        return {
            queue: _reading(queue, waiting, held=math.ceil(counts[queue] * spread), read_at=read_at)
            for queue, waiting in zip(queues, chain.from_iterable(batches), strict=True)
        }

    async def _learn(self, tags: Sequence[str]) -> None:
        """Learn which queues messages belong to that are seen for the first time; forget those that are gone."""
        known = self._holders
        for batch in _batches([tag for tag in tags if tag not in known], MESSAGES_OF_ONE_CALL):
            ends = await self._redis.eval(ENDS, 1, self._prefix + UNACKED, *batch)
            addresses = {tag: address for tag, end in zip(batch, ends, strict=True) if (address := address_in(end))}
            bindings = await self._bindings({address.exchange for address in addresses.values() if address.exchange})
            # At once: when time runs out in the middle of many, the next pass goes on from here.
            known.update({tag: _queues_of(address, bindings) for tag, address in addresses.items()})
        self._holders = {tag: known[tag] for tag in tags if tag in known}

    async def _bindings(self, exchanges: Iterable[str]) -> dict[str, Sequence[Sequence[str]]]:
        """Read kombu's table of each exchange: routing key, its pattern as a regular expression, queue."""
        found: dict[str, Sequence[Sequence[str]]] = {}
        for exchange in sorted(exchanges):
            members = await self._redis.smembers(self._prefix + BINDINGS.format(exchange))
            found[exchange] = [str(member).split(SEPARATOR) for member in members]
        return found


def address_in(end: str) -> Address | None:
    """Read where a message was sent to from the end of its entry in `unacked`; None: it cannot be understood."""
    match = _END.search(end)
    return Address(exchange=json.loads(match[1]), routing_key=json.loads(match[2])) if match else None


def _queues_of(address: Address, bindings: Mapping[str, Sequence[Sequence[str]]]) -> frozenset[str]:
    if not address.exchange:
        return frozenset({address.routing_key})
    # A topic can lead to several queues, and the entry does not say which of the copies it is: it counts for each.
    bound = (entry for entry in bindings[address.exchange] if len(entry) == 3)  # noqa: PLR2004 - key, pattern, queue
    return frozenset(queue for key, pattern, queue in bound if _leads(address.routing_key, key, pattern))


def _leads(routing_key: str, key: str, pattern: str) -> bool:
    try:
        return routing_key == key or bool(pattern and re.match(pattern, routing_key))
    except re.error:
        return False


def _reading(queue: str, waiting: int, *, held: int, read_at: float) -> Reading:
    if waiting < 0:
        what = f"the broker's Redis has something at {queue!r} that is no queue of Celery, or its user may not read it"
        message = f"{what}; see spec.queue"
        return Unknown(reason=Blindness.QUERY_FAILED, message=message)
    return QueueReading(read_at=read_at, ready=waiting, unacked=held)


def _raise_refused(answer: object) -> None:
    if isinstance(answer, NoPermissionError):
        message = f"{answer}; its user needs hello, eval, llen, zcard, zrange, hget and smembers"
        raise ResponseError(message) from answer
    if isinstance(answer, Exception):
        raise answer


def _role(hello: Any) -> str:
    # A list of names and values in the second version of the protocol, a map in the third.
    pairs = hello if isinstance(hello, dict) else dict(zip(hello[::2], hello[1::2], strict=True))
    return str(pairs.get("role"))


def _away(why: str) -> Unknown:
    # Some of Redis' refusals are a page long.
    why = shorten(why, LONGEST_EXPLANATION)
    return Unknown(reason=Blindness.BROKER_UNREACHABLE, message=f"the broker's Redis cannot be read ({why})")


def _batches(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
