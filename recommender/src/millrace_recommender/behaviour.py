"""The model that the sample's events are generated from: nobody's clicks, but tastes that drift, in a formula.

User u belongs to taste groups by a share theta_ug(t), and group g likes item i by a liking w_gi(t):

    P(user u looks at item i at t) = sum over g of theta_ug(t) * softmax over i of (-s ln(rank of i) + b w_gi(t))
    theta_u(t) = softmax over g of (c z_ug(t))

`s` is the exponent of Zipf's law: a few items are popular with everybody. All w and z are standard normal at every
moment and wander on their own (Ornstein-Uhlenbeck): over h hours each keeps the correlation exp(-drift h) with what it
was. So with drift 0 nothing ever changes, and with drift 3 little of what was learned is still true an hour later.

Events come in sessions: a user comes with a chance that is log-normal over users, follows one group (drawn from his
theta) for a geometric number of events, and looks at no item again that is among his last few. A view becomes a
purchase with a fixed chance. Times are those of a Poisson process. The same seed gives the same events.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

DRIFT_STEP_SECONDS: Final = 1.0
TRIES: Final = 16
"""Draws until an item is new to the user; whoever knows all that his group likes looks at one of them again."""

Kind = Literal["view", "purchase"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """The numbers of the formula."""

    users: int = 500
    items: int = 300
    groups: int = 8
    events_per_second: float = 200.0
    drift_per_hour: float = 3.0
    popularity_exponent: float = 0.6
    liking_strength: float = 2.5
    loyalty: float = 2.0
    """c in the formula: the larger, the more a user keeps to one group."""
    events_per_session: float = 8.0
    forgets_after: int = 24
    """How many of his last items a user does not look at again."""
    purchase_chance: float = 0.08
    open_sessions: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One thing that a user did."""

    at: float
    """Seconds after the beginning."""
    user: int
    item: int
    kind: Kind


@dataclass(slots=True)
class _Session:
    user: int
    group: int
    events_left: int


class World:
    """Users and items with their tastes at one moment; it only goes forward."""

    def __init__(self, behaviour: Behaviour, *, seed: int) -> None:
        self._behaviour = behaviour
        self._chance = np.random.default_rng(seed)
        ranks = self._chance.permutation(behaviour.items) + 1
        self._log_popularity = -behaviour.popularity_exponent * np.log(ranks)
        self._likings = self._chance.standard_normal((behaviour.groups, behaviour.items))
        self._belonging = self._chance.standard_normal((behaviour.users, behaviour.groups))
        visits = self._chance.lognormal(sigma=0.5, size=behaviour.users)
        self._visits = visits / visits.sum()
        self._known: list[deque[int]] = [deque(maxlen=behaviour.forgets_after) for _ in range(behaviour.users)]
        self._choices = self._cumulated_choices()
        self._sessions = [self._new_session() for _ in range(behaviour.open_sessions)]

    def events(self) -> Iterator[Activity]:
        """Go on for ever: views, each with the purchase that may follow at once."""
        at, drifted_at = 0.0, 0.0
        while True:
            at += float(self._chance.exponential(1.0 / self._views_per_second()))
            while at - drifted_at >= DRIFT_STEP_SECONDS:
                self._drift(DRIFT_STEP_SECONDS)
                drifted_at += DRIFT_STEP_SECONDS
            user, item = self._view()
            yield Activity(at=at, user=user, item=item, kind="view")
            if self._chance.random() < self._behaviour.purchase_chance:
                yield Activity(at=at, user=user, item=item, kind="purchase")

    def _views_per_second(self) -> float:
        return self._behaviour.events_per_second / (1.0 + self._behaviour.purchase_chance)

    def _view(self) -> tuple[int, int]:
        slot = int(self._chance.integers(len(self._sessions)))
        session = self._sessions[slot]
        item = self._new_item(session)
        self._known[session.user].append(item)
        session.events_left -= 1
        if session.events_left <= 0:
            self._sessions[slot] = self._new_session()
        return session.user, item

    def _new_item(self, session: _Session) -> int:
        choices, known = self._choices[session.group], self._known[session.user]
        drawn = np.searchsorted(choices, self._chance.random(TRIES) * choices[-1])
        return next((int(item) for item in drawn if item not in known), int(drawn[0]))

    def _new_session(self) -> _Session:
        user = int(self._chance.choice(self._behaviour.users, p=self._visits))
        shares = softmax(self._behaviour.loyalty * self._belonging[user])
        group = int(self._chance.choice(self._behaviour.groups, p=shares))
        return _Session(user, group, int(self._chance.geometric(1.0 / self._behaviour.events_per_session)))

    def _drift(self, seconds: float) -> None:
        kept = float(np.exp(-self._behaviour.drift_per_hour * seconds / 3600.0))
        fresh = float(np.sqrt(1.0 - kept * kept))
        self._likings = kept * self._likings + fresh * self._chance.standard_normal(self._likings.shape)
        self._belonging = kept * self._belonging + fresh * self._chance.standard_normal(self._belonging.shape)
        self._choices = self._cumulated_choices()

    def _cumulated_choices(self) -> Floats:
        likes = softmax(self._log_popularity + self._behaviour.liking_strength * self._likings)
        return np.cumsum(likes, axis=1)


def softmax(values: Floats) -> Floats:
    """Make chances of the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    chances: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return chances
