"""Dramatiq's hooks around an enqueue."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.middleware import Middleware


class Announcer:
    """Calls the hooks of a broker, unless none of its middleware has one: a dozen calls of nothing take their time.

    Args:
        broker: whose; middleware may be added to it at any time.
    """

    def __init__(self, broker: dramatiq.Broker) -> None:
        self._broker = broker
        self._known = 0
        self._before = self._after = False

    def before_enqueue(self, message: dramatiq.Message[Any]) -> None:
        """A message is about to be encoded; hooks may add to its options."""
        if len(self._broker.middleware) != self._known:
            self._look()
        if self._before:
            self._broker.emit_before("enqueue", message, None)

    def after_enqueue(self, message: dramatiq.Message[Any]) -> None:
        """Redis has accepted a message."""
        if len(self._broker.middleware) != self._known:
            self._look()
        if self._after:
            self._broker.emit_after("enqueue", message, None)

    def _look(self) -> None:
        middleware = self._broker.middleware
        self._known = len(middleware)
        self._before = any(_has(one, "before_enqueue") for one in middleware)
        self._after = any(_has(one, "after_enqueue") for one in middleware)


def _has(middleware: Middleware, hook: str) -> bool:
    return getattr(getattr(middleware, hook), "__func__", None) is not getattr(Middleware, hook)
