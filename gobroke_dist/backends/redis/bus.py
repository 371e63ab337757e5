"""The bus on Redis: numbered pub/sub from node to node with a log, and a list for the answer to a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import redis.asyncio

from gobroke_dist.backends.redis.copies import wanted
from gobroke_dist.backends.redis.errors import translated
from gobroke_dist.backends.redis.inbox import Inbox, News, read_kept, read_news
from gobroke_dist.backends.redis.line import Line
from gobroke_dist.backends.redis.scripts import load
from gobroke_dist.backends.redis.subscription import Subscription
from gobroke_dist.backends.redis.track import Word
from gobroke_dist.bus import Arrival, Missed, Receiver
from gobroke_dist.errors import FrameInvalid
from gobroke_dist.keys import Channel, ClusterKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.wire import channel

T = TypeVar("T")

log = logging.getLogger(__name__)

_SEND, _PUBLISH, _PROBE, _CATCH_UP, _REPLAY, _REPLY = (
    load(__package__, name) for name in ("send", "publish", "probe", "catch_up", "replay", "reply")
)
_REPLAYED_AT_ONCE = 500
_REPLY_KEPT_MS = 10_000
_REQUESTS_AT_ONCE = 32  # each holds a connection while it waits


class RedisBus:
    """One process's bus. Both clients are their owner's to close, after it.

    Args:
        publisher: for what is sent, a client of ``connection.connect``.
        subscriber: for waiting, made with ``blocking=True``.
        keys: the channels.
        settings: ``pending_limit``, ``redis_timeout``, ``log_length`` and ``recovery_window`` are used.
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
        self._kept = settings.kept
        nodes = keys.channel("")
        self._send_keys, self._send_args = keys.sending, (nodes.name, nodes.log, *self._kept)
        # A publish that may have been carried out is not sent again: delivery is at most once.
        self._line = Line(
            publisher,
            name="the outbound buffer",
            limit=settings.pending_limit,
            repeat=False,
            copies=wanted(settings),
        )
        self._requests = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self._subscription: Subscription | None = None
        self._inbox: Inbox | None = None

    @property
    def listening(self) -> bool:
        return self._subscription is None or self._subscription.listening

    async def open(self, node: str, receive: Receiver, lost: Callable[[str], None] | None = None) -> None:
        channels = [self._keys.channel(node), self._keys.everyone]
        inbox = Inbox(
            len(channels),
            partial(self._catch_up, channels),
            lambda post: self._deliver(receive, Arrival(post.data, post.number, post.complete)),
            lost=lost or (lambda _: None),
            limit=self._settings.log_length,
            metrics=self._metrics,
        )
        subscription = Subscription(
            self._subscriber,
            [one.name for one in channels],
            partial(self._arrived, inbox, receive),
            probe=partial(self._probe, *channels),
            resumed=inbox.fill,
            timeout=self._settings.redis_timeout,
            metrics=self._metrics,
        )
        await subscription.open()
        await inbox.open()
        self._inbox, self._subscription = inbox, subscription

    def send(self, data: bytes, to: Sequence[str], groups: Sequence[str] = ()) -> Awaitable[tuple[str, ...]]:
        args: list[Word] = [*self._send_args, data, len(to), len(groups), *to, *groups]
        return self._line.run(_SEND, self._send_keys, args, read=_uuids, stores=True)

    def publish(self, node: str, data: bytes) -> Awaitable[bool]:
        return self._publish(self._keys.channel(node), data, bool)

    def broadcast(self, data: bytes) -> Awaitable[int]:
        return self._publish(self._keys.everyone, data, int)

    def _publish(self, to: Channel, data: bytes, read: Callable[[Any], T]) -> Awaitable[T]:
        args: list[Word] = [to.field, to.name, *self._kept, data]
        return self._line.run(_PUBLISH, [self._keys.posts, to.log], args, read=read, stores=True)

    async def replay(self, node: str | None, since: int, until: int) -> Missed | None:
        of = self._keys.everyone if node is None else self._keys.channel(node)
        found: list[tuple[int, bytes]] = []
        known = since
        while True:
            args: list[Word] = [of.field, known, _REPLAYED_AT_ONCE]
            kept = await self._line.run(_REPLAY, [self._keys.posts, of.log], args, read=read_kept)
            if not kept.data:
                return found if kept.last <= known else None
            for post in kept.data:
                if post.previous > known:
                    return None
                if post.number > until:
                    return found
                known = post.number
                found.append((post.number, post.data))

    async def request(self, node: str, data: bytes, *, timeout: float) -> bytes:
        token = uuid4().hex
        async with asyncio.timeout(timeout), self._requests:
            sent = self._line.call("PUBLISH", self._keys.channel(node).name, channel.request(token, data), read=bool)
            if not await sent:
                raise TimeoutError(f"nobody listens on node {node!r}")
            return await self._answer(token, timeout)

    async def close(self) -> None:
        await self._line.flush()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()
        if self._inbox is not None:
            self._inbox.close()
        await self._line.close()

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

    async def _catch_up(self, channels: Sequence[Channel], epoch: str, known: Sequence[int], most: int) -> News:
        keys = [self._keys.posts, *(one.log for one in channels)]
        args: list[Word] = [epoch, most]
        for one, last in zip(channels, known, strict=True):
            args += (one.field, last)
        return await self._line.run(_CATCH_UP, keys, args, read=read_news)

    async def _probe(self, own: Channel, everyone: Channel) -> None:
        await self._line.run(_PROBE, [self._keys.posts], [own.name, own.field, everyone.field], read=int)

    def _arrived(self, inbox: Inbox, receive: Receiver, number: int, payload: bytes) -> None:
        try:
            arrived = channel.read(payload)
        except FrameInvalid:
            self._metrics.drop("bad_datum")
            log.warning("something foreign on a channel of this application; %d bytes dropped", len(payload))
            return
        match arrived:
            case channel.Post():
                inbox.take(number, arrived)
            case channel.Probe():
                inbox.probed(arrived)
            case channel.Request(token, data):
                self._deliver(receive, Arrival(data, reply=partial(self._reply, token)))

    def _deliver(self, receive: Receiver, arrival: Arrival) -> None:
        try:
            receive(arrival)
        except Exception:
            self._metrics.drop("receiver_error")
            log.exception("the receiver raised")


def _uuids(reply: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(uuid.decode() for uuid in reply)
