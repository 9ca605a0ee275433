"""The loop that sizes all pools: observe, decide, actuate, report, once a second for all of them together.

Level triggered: each pass begins from what is there, so that a pass that failed or an operator that was restarted loses
nothing. A failure is counted and logged and never ends the loop.
"""

import asyncio

import structlog

from millrace_operator.errors import OperatorError
from millrace_operator.pools.garbage import collect_garbage
from millrace_operator.pools.one_pass import PoolPass
from millrace_operator.pools.pace import LEAST_SECONDS
from millrace_operator.pools.ports import PoolLoopContext
from millrace_operator.reporting import metrics

LOOP = "pools"
log = structlog.get_logger("millrace.pools")


async def run_pool_loop(context: PoolLoopContext) -> None:
    """Size all pools, again and again, until cancelled."""
    pools, clock = PoolPass(context), context.clock
    while True:
        began = clock.monotonic_seconds()
        if context.is_synced:
            await _pass(pools)
        due, ended = began + context.settings.pool_loop_seconds, clock.monotonic_seconds()
        metrics.observe_loop(LOOP, ended - began)
        collect_garbage(pause_seconds=due - ended)
        # The pause is for telling; after a pass that was late, too, or it would starve.
        await asyncio.sleep(max(LEAST_SECONDS, due - clock.monotonic_seconds()))


async def _pass(pools: PoolPass) -> None:
    metrics.pass_begins()
    try:
        await pools.run()
    except OperatorError as error:
        metrics.count_loop_failure(LOOP)
        log.warning("pools were not sized in this pass; the next one begins anew", error=str(error))
    except Exception:
        # A defect in the handling of one pass must not end the sizing of all pools; it is counted and shown whole.
        metrics.count_loop_failure(LOOP)
        log.exception("pools were not sized in this pass because of a defect; please report it")
    finally:
        metrics.pass_ends()
