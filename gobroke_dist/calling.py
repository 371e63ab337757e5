"""Which message a handler is running for: what it sends must go out with that message."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field

from gobroke_dist.outlet import Outlet


@dataclass(slots=True)
class Calling:
    """The run of one handler.

    Attributes:
        outlet: takes what the handler sends; None: it goes out at once.
        pending: calls that the handler began; the run is not over before they are.
    """

    outlet: Outlet | None = None
    pending: set[asyncio.Future[object]] = field(default_factory=set)


_current: ContextVar[Calling | None] = ContextVar("gobroke_calling", default=None)


def current() -> Calling | None:
    """The handler's run that this code is part of."""
    return _current.get()


class calling:
    """Make ``run`` the current one, in this task or thread and the tasks that it starts."""

    __slots__ = ("_run", "_token")

    def __init__(self, run: Calling) -> None:
        self._run = run

    def __enter__(self) -> Calling:
        self._token = _current.set(self._run)
        return self._run

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
