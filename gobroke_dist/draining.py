"""How the clients of an edge that ends are sent away: in batches, each client with a time of its own to come back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from math import ceil
from typing import Final

from gobroke_dist.session import CloseCode, Session
from gobroke_dist.settings import Settings

BATCH_SECONDS: Final = 0.1
"""Time from one batch to the next."""

REASON: Final = "this node is shutting down"


async def send_away(sessions: Sequence[Session], settings: Settings) -> None:
    """Close sessions with ``GOING_AWAY``, at most ``drain_rate`` in a second, or all within half of ``drain_timeout``.

    Returns when the last was asked to go; its connection may take a while yet.
    """
    size = batch_size(len(sessions), settings)
    for start in range(0, len(sessions), size):
        if start:
            await asyncio.sleep(BATCH_SECONDS)
        for session in sessions[start : start + size]:
            session.close(CloseCode.GOING_AWAY, REASON, retry_after=come_back_in(settings))


def batch_size(clients: int, settings: Settings) -> int:
    """How many of so many clients go at once."""
    batches = max(1, int(settings.drain_timeout / 2 / BATCH_SECONDS))
    return max(1, int(settings.drain_rate * BATCH_SECONDS), ceil(clients / batches))


def come_back_in(settings: Settings) -> int:
    """After how many milliseconds one client is to come back: not all of them in one instant."""
    return secrets.randbelow(int(settings.retry_spread * 1000) + 1)
