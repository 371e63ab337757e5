"""Which middleware has something to do in which of Dramatiq's hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from dramatiq.middleware import Middleware, ShutdownNotifications, TimeLimit

from gobroke_dist.tasks.delivery import Delivered

Hook = Callable[..., None]

_OF_THREADS = (TimeLimit, ShutdownNotifications)
"""They raise in the thread that runs a message. What runs on the event loop is ended by its lane instead."""


class Hooks(NamedTuple):
    """The middleware that does something at one signal, each with its hook, in the order of the calls."""

    before: Sequence[tuple[Middleware, Hook]]
    after: Sequence[tuple[Middleware, Hook]]


class Signals:
    """The hooks of a broker's middleware, looked up once: most middleware does nothing in most hooks."""

    def __init__(self) -> None:
        self._middleware: list[Middleware] = []
        self._on_threads: dict[str, Hooks] = {}
        self._on_loop: dict[str, Hooks] = {}

    def hooks(self, middleware: Sequence[Middleware], signal: str, args: Sequence[Any]) -> Hooks:
        """What is to be called.

        Args:
            middleware: the broker's, as it is now.
            signal: ``ack``, for the hooks ``before_ack`` and ``after_ack``.
            args: of the call: where that is a message on the event loop, what concerns threads is left out.
        """
        if self._middleware != middleware:
            self._middleware = list(middleware)
            self._on_threads, self._on_loop = {}, {}
        on_loop = bool(args) and isinstance(args[0], Delivered) and args[0].on_loop
        known = self._on_loop if on_loop else self._on_threads
        found = known.get(signal)
        if found is None:
            fit = [one for one in middleware if not (on_loop and isinstance(one, _OF_THREADS))]
            after = _hooks(reversed(fit), f"after_{signal}")
            found = known[signal] = Hooks(_hooks(fit, f"before_{signal}"), after)
        return found


def _hooks(middleware: Iterable[Middleware], name: str) -> Sequence[tuple[Middleware, Hook]]:
    return [(one, getattr(one, name)) for one in middleware if _does_something(one, name)]


def _does_something(middleware: Middleware, name: str) -> bool:
    """Not all signals have both hooks; and a hook of the application's own may be any callable."""
    hook = getattr(middleware, name, None)
    return hook is not None and getattr(hook, "__func__", None) is not getattr(Middleware, name, None)
