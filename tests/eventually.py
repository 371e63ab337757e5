"""The one way to wait in a test."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

_PAUSE = 0.01


async def eventually(check: Callable[[], Any | Awaitable[Any]], within: float = 5.0) -> Any:
    """Ask until the answer is truthy, and return it; fail after ``within`` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = check()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(_PAUSE)


def eventually_sync(check: Callable[[], Any], within: float = 5.0) -> Any:
    """The same for a test without an event loop."""
    deadline = time.monotonic() + within
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(_PAUSE)
