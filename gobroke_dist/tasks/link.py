"""Threads' way to Redis: scripts, called until there is an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import redis
from dramatiq.errors import ConnectionClosed

from gobroke_dist.backends.redis import copies
from gobroke_dist.backends.redis.connection import connect_sync
from gobroke_dist.keys import QueueKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.scripts import Argument, ScriptName, command, script

T = TypeVar("T")

_FIRST_PAUSE = 0.02
_QUICK_RETRIES = 4


class Link:
    """One process's connections and counters, for any of its threads.

    Args:
        settings: where Redis is, and the times.
        client: instead of a connection pool of its own.

    Attributes:
        settings: what it was made with.
        client: for everything that Redis answers at once.
        blocking_client: for what waits: it has no read timeout.
        metrics: counted under a lock.
    """

    def __init__(self, settings: Settings, *, client: redis.Redis | None = None) -> None:
        self.settings = settings
        self.client = client or connect_sync(settings)
        self.blocking_client = connect_sync(settings, blocking=True, beside=self.client)
        self.metrics = Metrics()
        self._counting = threading.Lock()
        self._copies = copies.wanted(settings)

    def keys(self, queue_name: str) -> QueueKeys:
        """The keys of a queue."""
        return QueueKeys(self.settings.prefix, queue_name)

    @property
    def window(self) -> int:
        """The dedup window, in milliseconds."""
        return int(self.settings.dedup_window * 1000)

    def count(self, name: str, by: int = 1) -> None:
        """Count an event, from any thread."""
        if not by:
            return
        with self._counting:
            self.metrics.count(name, by)

    def call(self, name: ScriptName, keys: Sequence[str], args: Iterable[Argument]) -> Any:
        """Run a script; after a connection error again, quickly and a few times: they are all idempotent.

        Raises:
            ConnectionClosed: no answer.
            redis.ResponseError: Redis refused it.
        """
        words = tuple(args)
        return self.insist(lambda: self.call_once(name, keys, words))

    def store(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """As ``call``, and as many replicas as ``wait_replicas`` says have what was written."""
        return self.insist(lambda: self._stored(name, keys, args))

    def insist(self, call: Callable[[], T]) -> T:
        """Make a call again after a connection error, quickly and a few times. Raises as ``call``."""
        pause = _FIRST_PAUSE
        deadline = time.monotonic() + self.settings.redis_timeout
        for attempt in range(_QUICK_RETRIES + 1):
            try:
                return call()
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if attempt == _QUICK_RETRIES or time.monotonic() >= deadline:
                    raise ConnectionClosed(error) from None
            time.sleep(pause)
            pause *= 3
        raise AssertionError("unreachable")

    def call_once(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script, once. Raises what redis-py raises."""
        try:
            return self.client.evalsha(*command(name, keys, args))
        except redis.exceptions.NoScriptError:
            return self.client.eval(script(name).source, len(keys), *keys, *args)

    def _stored(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        if self._copies is None:
            return self.call_once(name, keys, args)
        with self.client.pipeline(transaction=False) as pipe:
            pipe.eval(script(name).source, len(keys), *keys, *args)
            pipe.execute_command(*self._copies.command)
            answer, copied = pipe.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        self._copies.check(copied)
        return answer

    def close(self) -> None:
        """Drop the connections."""
        self.client.close()
        self.blocking_client.close()
