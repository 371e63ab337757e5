"""Guards of the cluster path that a test can take out, to see that the run notices."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from gobroke_dist.backends.redis import registry
from gobroke_dist.backends.redis.inbox import Inbox
from gobroke_dist.backends.redis.scripts import Script, made_of
from gobroke_dist.registry import Position
from gobroke_dist.returning import Returns
from gobroke_dist.session import Session
from gobroke_dist.wire.channel import Post

VARIABLE = "CHAOS_CLUSTER_SABOTAGE"

LEASE_CHECK = "return lease_end and tonumber(lease_end) > now"


def carry_out() -> None:
    """Take out the guard that the environment names, if it names one, in this process."""
    guard = os.environ.get(VARIABLE, "")
    if guard:
        GUARDS[guard]()


def _replay() -> None:
    """Who comes back is told that it has missed nothing."""

    async def nothing(*_: object) -> list[Any]:
        return []

    _put(Returns, "_missed", nothing)


def _filling() -> None:
    """A node takes what comes, and asks for nothing that did not."""

    def take(self: Inbox, channel: int, post: Post) -> None:
        self._last[channel] = post.number
        self._deliver(post)

    _put(Inbox, "take", take)
    _put(Inbox, "fill", lambda _: None)


def _leases() -> None:
    """A member that was seen once lives for ever."""
    scripts = {name: value for name, value in vars(registry).items() if isinstance(value, Script)}
    cut = {name: value for name, value in scripts.items() if LEASE_CHECK in value.source}
    assert cut, f"no script says {LEASE_CHECK!r} any more"
    for name, value in cut.items():
        _put(registry, name, made_of(value.source.replace(LEASE_CHECK, "return true")))


def _telling() -> None:
    """Nobody is told that Redis has lost what it had; who comes back in another epoch has missed nothing, too."""
    _put(Returns, "_give_up", lambda *_: None)
    _replay()
    welcome = Returns._welcome

    def nothing_lost(self: Returns, session: Session, position: Position, missed: Any, groups: Any = ()) -> None:
        welcome(self, session, position, [] if session.recovery and session.recovery.token else missed, groups)

    _put(Returns, "_welcome", nothing_lost)


def _put(owner: Any, name: str, instead: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more; a guard that was not taken out proves nothing"
    setattr(owner, name, instead)


GUARDS: dict[str, Callable[[], None]] = {
    "replay": _replay,
    "gap filling": _filling,
    "leases": _leases,
    "telling": _telling,
}
