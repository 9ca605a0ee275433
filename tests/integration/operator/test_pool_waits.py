"""Waits of pools in a real Redis."""

import asyncio
from typing import Any

from containers import Container
from loop_cluster import LoopCluster, queue, worker_pool
from redis.asyncio import Redis

from millrace_contracts.pool_waits import WAITS_KEY, PoolWait
from millrace_operator.reporting.pool_waits import WaitBoard

PASSWORD = "integration"


def test_what_is_told_replaces_what_was_told_before(redis: Container, runner: asyncio.Runner) -> None:
    cluster = LoopCluster(pools=[worker_pool("digits"), worker_pool("cats")], replicas={"digits": 0, "cats": 0})
    cluster.run(digits=queue(ready=3), cats=queue())

    async def tell_twice() -> tuple[dict[Any, Any], dict[Any, Any]]:
        url = f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/0"
        async with Redis.from_url(url, decode_responses=True) as client:
            board = WaitBoard(client)
            await board.show(cluster.reports, now=cluster.seconds)
            both = await client.hgetall(WAITS_KEY)
            await board.show(cluster.reports[:1], now=cluster.seconds)
            return both, await client.hgetall(WAITS_KEY)

    both, one = runner.run(tell_twice())
    assert {"cats", "digits"} == both.keys()
    assert ["digits"] == [PoolWait.model_validate_json(text).pool for text in one.values()]


def test_a_redis_that_is_away_disturbs_nobody(runner: asyncio.Runner) -> None:
    cluster = LoopCluster()
    cluster.run(digits=queue())
    away = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=1)
    runner.run(WaitBoard(away).show(cluster.reports, now=cluster.seconds))
