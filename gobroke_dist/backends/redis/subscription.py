"""Channels that are listened to, on one connection that is replaced when it breaks or falls silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gobroke_dist.backends.redis.errors import translated
from gobroke_dist.backoff import doubling
from gobroke_dist.errors import Unavailable
from gobroke_dist.metrics import Metrics

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class Subscription:
    """Hands over each payload in order, on the event loop. What is published while it reconnects does not arrive.

    Args:
        redis: a client made with ``blocking=True``: its reads must have no timeout of their own.
        channels: what to listen to.
        deliver: gets every payload with the number of its channel in ``channels``; must not raise.
        probe: publishes something on one of the channels. It is called after half a timeout of silence; if that is not
            heard within a timeout, this connection is deaf, however healthy it looks. May raise ``Unavailable``.
        resumed: called whenever the channels are listened to again.
        timeout: seconds to wait for an answer of Redis.
        metrics: counts ``bus_reconnects``.

    Attributes:
        listening: whether what is published arrives, as far as is known.
    """

    def __init__(
        self,
        redis: redis.asyncio.Redis,
        channels: Sequence[str],
        deliver: Callable[[int, bytes], None],
        *,
        probe: Callable[[], Awaitable[object]],
        resumed: Callable[[], None],
        timeout: float,
        metrics: Metrics,
    ) -> None:
        self.listening = False
        self._redis = redis
        self._channels = channels
        self._number_of = {channel.encode(): number for number, channel in enumerate(channels)}
        self._probe = probe
        self._resumed = resumed
        self._deliver = deliver
        self._timeout = timeout
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Subscribe; returns when Redis has confirmed it.

        Raises:
            RedisUnavailable: it did not.
        """
        with translated():
            pubsub = await self._subscribed()
        self.listening = True
        self._task = asyncio.create_task(self._run(pubsub))

    async def close(self) -> None:
        """Listen no longer. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self, pubsub: PubSub) -> None:
        while True:
            try:
                await self._listen(pubsub)
            except (RedisError, OSError) as error:
                log.warning("lost the subscription, subscribing again: %s", error)
            except Exception:
                log.exception("listening ended in a way that it should not; subscribing again")
            finally:
                self.listening = False
                await pubsub.aclose()
            pubsub = await self._again()
            self.listening = True
            self._metrics.count("bus_reconnects")
            self._resumed()

    async def _again(self) -> PubSub:
        for pause in doubling(_FIRST_PAUSE, _LONGEST_PAUSE):
            try:
                return await self._subscribed()
            except (RedisError, OSError) as error:
                log.debug("can't subscribe, trying again in %.2f s: %s", pause, error)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _subscribed(self) -> PubSub:
        pubsub = self._redis.pubsub()
        try:
            async with asyncio.timeout(self._timeout):
                await pubsub.subscribe(*self._channels)
                for _ in self._channels:
                    await _read(pubsub)
        except BaseException:
            await pubsub.aclose()
            raise
        return pubsub

    async def _listen(self, pubsub: PubSub) -> None:
        heard = asyncio.Event()
        tasks = {asyncio.create_task(self._read_on(pubsub, heard)), asyncio.create_task(self._watch(heard))}
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_on(self, pubsub: PubSub, heard: asyncio.Event) -> None:
        while True:
            response = await _read(pubsub)
            heard.set()
            self.listening = True
            if response[0] == b"message":
                self._deliver(self._number_of[response[1]], response[2])

    async def _watch(self, heard: asyncio.Event) -> None:
        while True:
            heard.clear()
            await asyncio.sleep(self._timeout / 2)
            if heard.is_set():
                continue
            try:
                await self._probe()
            except Unavailable:  # of this connection nothing is known; it may well survive that
                self.listening = False
            else:
                await self._hear(heard)

    async def _hear(self, heard: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await heard.wait()
        except TimeoutError:
            raise RedisConnectionError(f"what was published did not arrive within {self._timeout:g} s") from None


async def _read(pubsub: PubSub) -> Any:
    # Past PubSub's own reading, which reconnects in silence: a gap must be seen here.
    return await _connection(pubsub).read_response(disconnect_on_error=False, push_request=True)


def _connection(pubsub: PubSub) -> Any:
    return pubsub.connection
