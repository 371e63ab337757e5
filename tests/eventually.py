"""The one way to wait in a test: ask again until it is so, or fail with the last answer."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE = 0.01


async def eventually(check: Callable[[], T | Awaitable[T]], within: float = 5) -> T:
    """The first true answer of ``check`` (``def`` or ``async def``).

    Args:
        check: called again and again. What it asserts may fail until the time is up.
        within: seconds.

    Raises:
        AssertionError: none came in time.
    """
    deadline = time.monotonic() + within
    while True:
        failure: AssertionError | None = None
        try:
            answer = check()
            result = await answer if inspect.isawaitable(answer) else answer
            if result:
                return result
        except AssertionError as error:
            result, failure = None, error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s; the last answer was {result!r}") from failure
        await asyncio.sleep(_PAUSE)


def eventually_sync(check: Callable[[], T], within: float = 5) -> T:
    """The same for a test without an event loop."""
    deadline = time.monotonic() + within
    while True:
        failure: AssertionError | None = None
        try:
            result: T | None = check()
            if result:
                return result
        except AssertionError as error:
            result, failure = None, error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s; the last answer was {result!r}") from failure
        time.sleep(_PAUSE)
