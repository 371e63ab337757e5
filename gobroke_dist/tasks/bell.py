"""How an idle consumer waits: one blocking pop, with no command while nothing happens."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

import redis
from redis.connection import Connection

LONGEST_WAIT = 60.0
"""Seconds after which the server answers anyway, so that a dead connection is noticed."""


LONGEST_SLICE = 1.0
"""Seconds that a consumer listens at most before it looks whether it is to end."""

DRAINING_SLICE = 0.02
"""Seconds from one look to the next while a worker ends."""

_DOUBLINGS = 6


def pause_after(failures: int, longest: float) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(longest, 0.02 * (1 << min(failures, _DOUBLINGS)))


class Bell:
    """One queue's bell, on a connection of its own.

    Args:
        client: a client without read timeout.
        key: the bell's list.
        grace: seconds that an answer may be late before the connection counts as dead.
    """

    def __init__(self, client: redis.Redis, key: str, *, grace: float) -> None:
        self._pool = client.connection_pool
        self._key = key
        self._grace = grace
        self._connection: Connection | None = None
        self._deadline = 0.0

    @property
    def armed(self) -> bool:
        """Whether the server has been asked and has not answered."""
        return self._connection is not None and self._deadline > 0

    def arm(self, longest: float) -> None:
        """Ask the server to answer when the bell rings, or after ``longest`` seconds."""
        wait = math.ceil(max(0.001, min(longest, LONGEST_WAIT)) * 1000) / 1000
        if self._connection is None:
            self._connection = self._pool.get_connection()
        self._deadline = time.monotonic() + wait + self._grace
        with self._closing_on_error():
            self._connection.send_command("BLPOP", self._key, wait)

    def wait(self, timeout: float) -> bool:
        """Whether it is time to fetch. False: ``timeout`` seconds have passed; ask again.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the connection is gone.
        """
        assert self._connection is not None
        with self._closing_on_error():
            if not self._connection.can_read(timeout):
                if time.monotonic() > self._deadline:
                    raise redis.TimeoutError("no answer to a blocking pop")
                return False
            self._connection.read_response()
        self._deadline = 0.0
        return True

    def close(self) -> None:
        """Drop the connection, and with it a question that is open."""
        connection, self._connection, self._deadline = self._connection, None, 0.0
        if connection is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                connection.disconnect()
            self._pool.release(connection)

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise
