"""The one way to wait in a test."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(check: Callable[[], Any | Awaitable[Any]], within: float = 5.0) -> Any:
    """Wait until ``check`` returns something true, and return it; an AssertionError in it means: not yet."""
    deadline = time.monotonic() + within
    while True:
        try:
            answer = check()
            result = await answer if inspect.isawaitable(answer) else answer
            if result:
                return result
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() <= deadline, f"not within {within} s: {inspect.getsource(check).strip()}"
        await asyncio.sleep(0.01)


def eventually_sync(check: Callable[[], Any], within: float = 5.0) -> Any:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + within
    while True:
        try:
            if result := check():
                return result
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() <= deadline, f"not within {within} s: {inspect.getsource(check).strip()}"
        time.sleep(0.01)
