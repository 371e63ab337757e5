"""When messages are sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tests.bench.cluster.load.heard import Tally

_TURN = 0.001

Send = Callable[[int], object]
"""Sends the message of this number."""


async def paced(send: Send, rate: int, seconds: float) -> int:
    """Send evenly. One that comes late does not delay those after it. Returns how many were sent."""
    total = round(rate * seconds)
    started = time.monotonic()
    for number in range(total):
        await _until(started + number / rate)
        send(number)
    return total


async def windowed(send: Send, window: int, seconds: float, arrived: Tally) -> int:
    """Send as fast as messages arrive: never more than ``window`` are under way. Returns how many were sent."""
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(window - (sent - arrived.read())):
            send(sent)
            sent += 1
        await asyncio.sleep(_TURN)
    return sent


async def _until(moment: float) -> None:
    wait = moment - time.monotonic()
    if wait > 0:
        await asyncio.sleep(wait)
