"""One pool in one pass: what is seen of it, then what is decided."""

from dataclasses import dataclass

from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.decision.decide import Assessment
from millrace_operator.model.decision import ScalingDecision
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.obstacle import Obstacle
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import Reading
from millrace_operator.model.worker import Worker
from millrace_operator.pools.memory import PoolMemory


@dataclass(slots=True, kw_only=True)
class Case:
    """Filled in as the pass goes on."""

    pool: WorkerPool
    memory: PoolMemory
    pods: tuple[Pod, ...]
    workers: tuple[Worker, ...]
    """Those of the pool's pods that are heard."""
    reading: Reading
    outlook: Outlook = ()
    held_back: int = 0
    """Tasks that prediction jobs keep out of the queue."""
    inference: InferenceLoad | None = None
    state: PoolState | None
    obstacle: Obstacle | None
    assessment: Assessment | None = None
    decision: ScalingDecision | None = None
