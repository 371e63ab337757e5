"""Which middleware has something to do in which of Dramatiq's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dramatiq.middleware import Middleware, ShutdownNotifications, TimeLimit

from gobroke_dist.tasks.delivery import Delivered

Hook = Callable[..., None]

_OF_THREADS = (TimeLimit, ShutdownNotifications)
"""They raise in the thread that runs a message. What runs on the event loop is ended by its lane instead."""


class Signals:
    """The hooks of a broker's middleware, looked up once: most middleware does nothing in most hooks."""

    def __init__(self) -> None:
        self._middleware: list[Middleware] = []
        self._hooks: dict[tuple[str, bool], list[tuple[Middleware, Hook]]] = {}

    def hooks(self, middleware: Sequence[Middleware], name: str, args: Sequence[Any]) -> list[tuple[Middleware, Hook]]:
        """The middleware that has this hook, in order.

        Args:
            middleware: the broker's, as it is now.
            name: of the hook: ``before_ack``.
            args: what it is called with: where that is a message on the event loop, what concerns threads is left out.
        """
        if self._middleware != middleware:
            self._middleware = list(middleware)
            self._hooks = {}
        on_loop = bool(args) and isinstance(args[0], Delivered) and args[0].on_loop
        found = self._hooks.get((name, on_loop))
        if found is None:
            found = self._hooks[name, on_loop] = [
                (one, getattr(one, name))
                for one in middleware
                if _does_something(one, name) and not (on_loop and isinstance(one, _OF_THREADS))
            ]
        return found


def _does_something(middleware: Middleware, name: str) -> bool:
    return getattr(getattr(middleware, name), "__func__", None) is not getattr(Middleware, name, None)
