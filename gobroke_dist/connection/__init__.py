"""A client of an edge: ``Connection`` for asyncio programs, and beside it ``gobroke.js`` for browsers."""

from gobroke_dist.connection.events import (
    BufferFull,
    ConnectionEnded,
    ConnectionFailure,
    ConnectionLost,
    ConnectionState,
    Ended,
    Event,
    Gap,
    Lost,
    MessageRefused,
    Opened,
    Receipt,
    Received,
    Refused,
    TimedOut,
)
from gobroke_dist.connection.machine import Options
from gobroke_dist.connection.shell import Connection, TokenProvider

__all__ = [
    "BufferFull",
    "Connection",
    "ConnectionEnded",
    "ConnectionFailure",
    "ConnectionLost",
    "ConnectionState",
    "Ended",
    "Event",
    "Gap",
    "Lost",
    "MessageRefused",
    "Opened",
    "Options",
    "Receipt",
    "Received",
    "Refused",
    "TimedOut",
    "TokenProvider",
]
