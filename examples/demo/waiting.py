"""The one way in which the demo waits for something that nobody announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(check: Callable[[], bool], *, within: float) -> bool:
    """Wait until ``check()`` is true, ``within`` seconds at most. Returns whether it was."""
    now = asyncio.get_running_loop().time
    deadline = now() + within
    while not (answer := check()) and now() < deadline:  # noqa: ASYNC110 - another process, or many tasks, make it true
        await asyncio.sleep(0.002)
    return answer
