"""From what a pool wants to what it gets: budgets, the cluster, Triton, rollouts and the user's mode have their say.

Each rule may change the number only together with the reason.
"""

from millrace_operator.api.worker_pool import Mode, PoolPolicy
from millrace_operator.decision.assess import assess
from millrace_operator.decision.assessment import Assessment
from millrace_operator.decision.memory import Memory, recall
from millrace_operator.decision.sentences import count, sentence
from millrace_operator.model.decision import Reason, ScalingDecision
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Reading

__all__ = ["Assessment", "Memory", "assess", "decide", "recall", "settle"]

Verdict = tuple[int, Reason, str]


def decide(
    *,
    policy: PoolPolicy,
    state: PoolState,
    reading: Reading,
    outlook: Outlook = (),
    inference: InferenceLoad | None = None,
    memory: Memory | None,
    now: float,
    ceiling: int | None = None,
) -> tuple[ScalingDecision, Memory]:
    """Assess and settle in one step, for a pool whose ceiling is known."""
    assessment, memory = assess(
        policy=policy,
        state=state,
        reading=reading,
        outlook=outlook,
        inference=inference,
        memory=memory,
        now=now,
    )
    return settle(policy=policy, state=state, assessment=assessment, ceiling=ceiling), memory


def settle(*, policy: PoolPolicy, state: PoolState, assessment: Assessment, ceiling: int | None) -> ScalingDecision:
    """Decide; `ceiling` is what the pool's CapacityBudget grants, None without one."""
    verdict = (assessment.wanted, assessment.reason, assessment.why)
    if assessment.is_known:
        verdict = _within_inference(verdict, state, assessment)
        verdict = _within_cluster(verdict, state)
        verdict = _within_budget(verdict, ceiling, policy)
        verdict = _through_rollout(verdict, state)
    elif ceiling is not None and verdict[0] > max(ceiling, state.asked):
        verdict = _within_budget(verdict, max(ceiling, state.asked), policy)
    replicas, reason, why = verdict
    message = sentence(replicas, why, was=state.asked)
    if policy.mode is Mode.PAUSED:
        held = count(state.asked, "replica")
        message = f"{held}: the pool is paused (spec.mode). Unpaused it would be {replicas:,}."
        return ScalingDecision(
            replicas=state.asked,
            reason=Reason.PAUSED,
            message=message,
            is_binding=False,
            estimates=assessment.estimates,
        )
    is_advisory = policy.mode is Mode.ADVISORY
    return ScalingDecision(
        replicas=replicas,
        reason=reason,
        message=f"Advisory only, nothing is written. {message}" if is_advisory else message,
        is_binding=not is_advisory,
        estimates=assessment.estimates,
    )


def _within_inference(verdict: Verdict, state: PoolState, assessment: Assessment) -> Verdict:
    wanted, _, why = verdict
    if not assessment.is_inference_saturated or wanted <= max(1, state.asked):
        return verdict
    held = max(1, state.asked)
    said = "requests wait longer in Triton than they are computed, so more workers would only lengthen its queue"
    return held, Reason.INFERENCE_SATURATED, f"{why}; {wanted:,} are wanted, but {said}"


def _within_cluster(verdict: Verdict, state: PoolState) -> Verdict:
    wanted, _, why = verdict
    if not state.unschedulable or wanted <= state.asked:
        return verdict
    pods = f"{count(state.unschedulable, 'pod')} cannot be scheduled"
    said = f" ({state.unschedulable_message})" if state.unschedulable_message else ""
    return state.asked, Reason.PODS_UNSCHEDULABLE, f"{why}; {wanted:,} are wanted, but {pods}{said}"


def _within_budget(verdict: Verdict, ceiling: int | None, policy: PoolPolicy) -> Verdict:
    wanted, _, why = verdict
    if ceiling is None or wanted <= ceiling:
        return verdict
    name = policy.budget.name if policy.budget else ""
    return ceiling, Reason.BUDGET_EXHAUSTED, f"{why}; {wanted:,} are wanted, CapacityBudget {name!r} gives {ceiling:,}"


def _through_rollout(verdict: Verdict, state: PoolState) -> Verdict:
    wanted, _, why = verdict
    if not state.is_rolling_out or wanted >= state.asked:
        return verdict
    held = "nothing is removed while the Deployment rolls out"
    return state.asked, Reason.ROLLOUT_IN_PROGRESS, f"{why}; {wanted:,} would do, but {held}"
