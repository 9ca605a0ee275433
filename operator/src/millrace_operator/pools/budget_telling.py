"""Tell how budgets are shared: metrics and the status of each CapacityBudget."""

from collections.abc import Mapping
from typing import Any, Final

import structlog

from millrace_contracts.resources import CAPACITY_BUDGETS
from millrace_operator.errors import KubernetesError, ObjectNotFound
from millrace_operator.pools.chores import Chores
from millrace_operator.pools.memory import Written
from millrace_operator.pools.ports import PoolLoopContext
from millrace_operator.pools.sizing import Sharing
from millrace_operator.pools.workload import Key
from millrace_operator.reporting import metrics
from millrace_operator.reporting.budget_status import budget_conditions, build_budget_status
from millrace_operator.reporting.pool_gauges import BudgetUse

MOST_AT_A_TIME: Final = 16
log = structlog.get_logger("millrace.pools")


class BudgetTeller:
    """Tells of budgets; a change of who has what at most once in an interval, that one is exhausted at once."""

    def __init__(self, context: PoolLoopContext) -> None:
        self._context = context
        self.chores = Chores(most=MOST_AT_A_TIME)
        self._written: dict[str, Written] = {}

    def tell(self, shared: Mapping[Key, Sharing], *, now: float) -> None:
        """Begin to tell of all budgets."""
        uids = {sharing.budget.uid for sharing in shared.values()}
        for gone in self._written.keys() - uids:
            del self._written[gone]
        metrics.gauges.keep_budgets(shared)
        for key, sharing in shared.items():
            use = BudgetUse(capacity=sharing.budget.capacity, used=sharing.used, wanted=sharing.wanted)
            metrics.gauges.show_budget(key, use)
            if not self.chores.is_busy(sharing.budget.uid) and self.chores.room > 0:
                self._tell(sharing, use, now)

    def _tell(self, sharing: Sharing, use: BudgetUse, now: float) -> None:
        budget = sharing.budget
        written = self._written.setdefault(budget.uid, Written())
        conditions = budget_conditions(budget, use, pools=len(sharing.claims))
        essence = (budget.generation, *((each.status, each.reason) for each in conditions))
        is_early = now - written.looked_at < self._context.settings.status_interval_seconds
        if essence == written.essence and is_early:
            return
        previous = budget.status if written.status is None else written.status
        status = build_budget_status(
            budget,
            use=use,
            claims=sharing.claims,
            grants=sharing.grants,
            conditions=conditions,
            previous=previous,
            now=now,
        )
        written.looked_at = now
        if status == previous:
            written.essence = essence
            return
        self.chores.begin(budget.uid, self._write(sharing, written, status, essence))

    async def _write(
        self, sharing: Sharing, written: Written, status: Mapping[str, Any], essence: tuple[Any, ...]
    ) -> None:
        budget = sharing.budget
        try:
            await self._context.kubernetes.replace_status(
                CAPACITY_BUDGETS, namespace=budget.namespace, name=budget.name, uid=budget.uid, status=status
            )
        except ObjectNotFound:
            return  # It was deleted; the watch will say so.
        except KubernetesError as error:
            log.warning("status of a budget is old", budget=f"{budget.namespace}/{budget.name}", error=str(error))
            return
        written.status, written.essence = status, essence
