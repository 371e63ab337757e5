"""The bus on Redis: pub/sub from node to node, and a list for the answer to a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from typing import Any
from uuid import uuid4

import redis.asyncio

from gobroke_dist.backends.redis.errors import translated
from gobroke_dist.backends.redis.line import Line
from gobroke_dist.backends.redis.scripts import load
from gobroke_dist.backends.redis.subscription import Subscription
from gobroke_dist.bus import Receiver
from gobroke_dist.errors import FrameInvalid
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.wire import channel

log = logging.getLogger(__name__)

_REPLY = load(__package__, "reply")
_REPLY_KEPT_MS = 10_000
_REQUESTS_AT_ONCE = 32  # each holds a connection while it waits


class RedisBus:
    """One process's bus. It closes no client: both are their owner's.

    Args:
        publisher: for what is sent, a client of ``connection.connect``.
        subscriber: for waiting, made with ``blocking=True``.
        keys: the channels.
        settings: ``pending_limit`` and ``redis_timeout`` are used.
        metrics: drops are counted as ``bad_datum`` and ``receiver_error``.
    """

    def __init__(
        self,
        publisher: redis.asyncio.Redis,
        subscriber: redis.asyncio.Redis,
        keys: ClusterKeys,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._subscriber = subscriber
        self._keys = keys
        self._settings = settings
        self._metrics = metrics
        # A publish that may have been carried out is not sent again: delivery is at most once.
        self._line = Line(publisher, name="the outbound buffer", limit=settings.pending_limit, repeat=False)
        self._requests = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self._subscription: Subscription | None = None

    async def open(self, node: str, receive: Receiver) -> None:
        channels = [self._keys.channel(node), self._keys.broadcast_channel]
        deliver = partial(self._deliver, receive)
        timeout = self._settings.redis_timeout
        subscription = Subscription(self._subscriber, channels, deliver, timeout=timeout, metrics=self._metrics)
        await subscription.open()
        self._subscription = subscription

    def publish(self, node: str, data: bytes) -> Awaitable[bool]:
        return self._line.call("PUBLISH", self._keys.channel(node), channel.plain(data), read=bool)

    def broadcast(self, data: bytes) -> Awaitable[int]:
        return self._line.call("PUBLISH", self._keys.broadcast_channel, channel.plain(data), read=int)

    async def request(self, node: str, data: bytes, *, timeout: float) -> bytes:
        token = uuid4().hex
        async with asyncio.timeout(timeout), self._requests:
            sent = self._line.call("PUBLISH", self._keys.channel(node), channel.request(token, data), read=bool)
            if not await sent:
                raise TimeoutError(f"nobody listens on node {node!r}")
            return await self._answer(token, timeout)

    async def close(self) -> None:
        await self._line.flush()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    async def _answer(self, token: str, timeout: float) -> bytes:
        # Redis ends the wait as well: a requester that is cut off leaves no waiting client behind.
        with translated():
            popped: Any = await self._subscriber.blpop([self._keys.reply(token)], timeout=timeout + 1)
        if popped is None:
            raise TimeoutError("no answer in time")
        answer: bytes = popped[1]
        return answer

    async def _reply(self, token: str, data: bytes) -> None:
        await self._line.run(_REPLY, [self._keys.reply(token)], [data, _REPLY_KEPT_MS], read=int)

    def _deliver(self, receive: Receiver, payload: bytes) -> None:
        try:
            data, token = channel.unwrap(payload)
        except FrameInvalid:
            self._metrics.drop("bad_datum")
            log.warning("something foreign on a channel of this application; %d bytes dropped", len(payload))
            return
        try:
            receive(data, None if token is None else partial(self._reply, token))
        except Exception:
            self._metrics.drop("receiver_error")
            log.exception("the receiver raised")
