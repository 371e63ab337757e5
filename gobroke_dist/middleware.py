"""Functions that see every message go by."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from gobroke_dist.message import Message

log = logging.getLogger(__name__)

Middleware: TypeAlias = Callable[[Message], Message | None | Awaitable[Message | None]]
"""Takes a message and returns it, changed or not; ``None``, or ``reject()`` on it, stops it. ``def`` runs on
the event loop and must not block; one that has to wait is ``async def``."""


async def run(chain: Sequence[Middleware], message: Message) -> Message:
    """Pass a message through a chain, in order, until one stops it.

    One that raises stops this message, with the reason ``middleware_error``, and no other (contract R8).
    """
    for step in chain:
        try:
            answer = step(message)
            result = await answer if inspect.isawaitable(answer) else answer
        except Exception:
            log.exception("middleware %s raised; message %s is rejected", _name(step), message.uuid)
            message.reject("middleware_error")
            return message
        if result is None:
            message.reject(message.reason or "middleware")
            return message
        message = result
        if message.rejected:
            return message
    return message


def _name(step: Middleware) -> str:
    return getattr(step, "__qualname__", repr(step))
