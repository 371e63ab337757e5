"""Where redis-py's errors become ours. A command that is wrong stays what it is: a bug, not an outage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AskError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gobroke_dist.errors import QueueFull, RedisUnavailable

# Redirections are an ``AskError`` too; a primary that replicates from nowhere is a ``ClusterDownError`` too.
_NOT_THE_PRIMARY = (ReadOnlyError, AskError, ClusterDownError, TryAgainError)
_OUTAGES = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, *_NOT_THE_PRIMARY, OSError)
# The first word of a server's refusal; inside a script, Redis 6.2 puts words and a minus before it.
_REFUSALS = re.compile(
    r"(?:^|[\s-])(OOM|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|LOADING|BUSY|UNKILLABLE)\s"
)
_OTHERS_TAKE_WRITES = re.compile(r"(?:^|[\s-])(READONLY|NOREPLICAS|UNBLOCKED)\s")


def translate(error: Exception) -> Exception:
    """``RedisUnavailable`` where Redis can't be reached, is silent or refuses; else the error itself."""
    outage = isinstance(error, _OUTAGES) or (isinstance(error, ResponseError) and _REFUSALS.search(str(error)))
    if not outage:
        return error
    made = RedisUnavailable(_why(error))
    made.__cause__ = error
    return made


def _why(error: Exception) -> str:
    text = str(error)
    if "maxmemory" in text:
        return "its memory is full, and it takes nothing new"
    if "MISCONF" in text:
        return "it can't write to its disk, and takes nothing new"
    return text or type(error).__name__


def not_the_primary(error: ResponseError) -> bool:
    """Whether a server says that another one takes writes now, or may do so soon.

    So says also a primary without replicas: a part of the network without it may have chosen another.
    """
    return isinstance(error, _NOT_THE_PRIMARY) or _OTHERS_TAKE_WRITES.search(str(error)) is not None


@contextmanager
def translated() -> Iterator[None]:
    """Raises within come out as ``translate`` has them."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise translate(error) from error


@contextmanager
def unavailable_when_full() -> Iterator[None]:
    """A line of calls that is full says that Redis answers too slowly."""
    try:
        yield
    except QueueFull as error:
        raise RedisUnavailable(f"it answers too slowly: {error}") from error
