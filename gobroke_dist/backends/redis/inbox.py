"""What arrives on a node's channels, in order and without gaps: what is missed is read from the channels' logs."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from gobroke_dist.backoff import doubling
from gobroke_dist.errors import Unavailable
from gobroke_dist.metrics import Metrics
from gobroke_dist.wire.channel import Post, Probe

log = logging.getLogger(__name__)

_CHUNK = 500  # data of each channel that one call reads
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class Kept(NamedTuple):
    """One channel, as Redis has it: the number of its last datum, and data that follow those asked about."""

    last: int
    data: Sequence[Post]


class News(NamedTuple):
    """What Redis says to a listener: the epoch, whether it is another one than the listener's, and each channel."""

    epoch: str
    other: bool
    channels: Sequence[Kept]


CatchUp = Callable[[str, Sequence[int], int], Awaitable[News]]
"""Reads what follows some numbers of an epoch, one for each channel, and at most so many data of each.

Raises ``Unavailable``; asking again is safe.
"""


def read_news(reply: Any) -> News:
    """What ``catch_up.lua`` returned."""
    epoch, other, *channels = reply
    name = epoch.decode()
    return News(name, bool(other), [read_kept(kept, name) for kept in channels])


def read_kept(reply: Any, epoch: str = "") -> Kept:
    """What a script returned of one channel."""
    last, data = reply
    return Kept(last, [_post(epoch, *entry) for entry in data or ()])


def _post(epoch: str, entry: bytes, fields: Sequence[bytes]) -> Post:
    _, previous, _, body = fields
    return Post.of(epoch, int(entry.partition(b"-")[0]), int(previous), body)


class Inbox:
    """Hands each datum of some channels over once, in the order of their numbers, which is one for all channels.

    Args:
        channels: how many.
        catch_up: how what was missed is read.
        deliver: gets each datum; must not raise.
        lost: called with its name when another epoch begins, before any of its data is handed over; must not raise.
        limit: how many data may wait while others are read.
        metrics: counts ``bus_caught_up`` (data read from a log), ``bus_lost`` (a log had not kept all that was missed)
            and ``bus_epochs`` (Redis had lost what it had).
    """

    def __init__(
        self,
        channels: int,
        catch_up: CatchUp,
        deliver: Callable[[Post], None],
        *,
        lost: Callable[[str], None],
        limit: int,
        metrics: Metrics,
    ) -> None:
        self._catch_up = catch_up
        self._deliver = deliver
        self._lost = lost
        self._limit = limit
        self._metrics = metrics
        self._epoch = ""
        self._last = [0] * channels
        self._waiting: deque[tuple[int, Post]] = deque()
        self._once_more = False  # what is missing may be more than what is being read
        self._filling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin with what is published from now on. Raises ``Unavailable``."""
        news = await self._catch_up("", self._last, 0)
        self._epoch = news.epoch
        self._last = [kept.last for kept in news.channels]

    def close(self) -> None:
        """Hand nothing over any more."""
        if self._filling is not None:
            self._filling.cancel()

    def take(self, channel: int, post: Post) -> None:
        """A datum has arrived on a channel."""
        if self._filling is not None:
            self._wait(channel, post)
        elif not self._follows(channel, post) and not self._is_known(channel, post):
            self._wait(channel, post)
            self.fill()

    def probed(self, probe: Probe) -> None:
        """All that was published before this has arrived, or never will."""
        if probe.epoch != self._epoch or any(told > last for told, last in zip(probe[1:], self._last, strict=True)):
            self.fill()

    def fill(self) -> None:
        """Read what was missed; until that is handed over, what arrives waits behind it."""
        self._once_more = True
        if self._filling is None:
            self._filling = asyncio.create_task(self._fill(), name="inbox")

    # --- in order ------------------------------------------------------------------

    def _follows(self, channel: int, post: Post) -> bool:
        if post.epoch != self._epoch or post.previous != self._last[channel]:
            return False
        self._last[channel] = post.number
        self._deliver(post)
        return True

    def _is_known(self, channel: int, post: Post) -> bool:
        return post.epoch == self._epoch and post.number <= self._last[channel]

    def _wait(self, channel: int, post: Post) -> None:
        if len(self._waiting) >= self._limit:  # the log has it
            self._waiting.clear()
            self._once_more = True
        self._waiting.append((channel, post))

    # --- catching up -----------------------------------------------------------------

    async def _fill(self) -> None:
        try:
            while True:
                self._once_more = False
                await self._read_all()
                if not self._once_more and self._hand_over_waiting():
                    return
        finally:
            self._filling = None

    async def _read_all(self) -> None:
        pauses = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                if self._read(await self._catch_up(self._epoch, self._last, _CHUNK)):
                    return
                pauses = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
            except Unavailable as error:
                pause = next(pauses)
                log.debug("can't read what was missed, trying again in %.2f s: %s", pause, error)
                await asyncio.sleep(pause)

    def _read(self, news: News) -> bool:
        """Hand over what was missed, as far as it is known of all channels. Returns whether that was all."""
        if news.other:
            log.warning("Redis had lost what it had; what was published then is gone")
            self._metrics.count("bus_epochs")
            self._lost(news.epoch)
            self._epoch = news.epoch
            self._last = [kept.data[0].previous if kept.data else kept.last for kept in news.channels]
        # Of a channel with more to come, nothing is known beyond its last datum here.
        known = [kept.data[-1].number for kept in news.channels if len(kept.data) == _CHUNK]
        until = min(known, default=max(kept.last for kept in news.channels))
        missed = [(post.number, channel, post) for channel, kept in enumerate(news.channels) for post in kept.data]
        for number, channel, post in sorted(missed):
            if number <= until:
                self._note_hole(channel, post.previous)
                self._last[channel] = number
                self._metrics.count("bus_caught_up")
                self._deliver(post)
        if known:
            return False
        for channel, kept in enumerate(news.channels):
            self._note_hole(channel, kept.last)
            self._last[channel] = kept.last
        return True

    def _note_hole(self, channel: int, previous: int) -> None:
        if previous > self._last[channel]:
            self._metrics.count("bus_lost")
            log.error("what this node has missed is not in the log any more; raise log_length or recovery_window")

    def _hand_over_waiting(self) -> bool:
        """False: something is still missing."""
        while self._waiting:
            channel, post = self._waiting[0]
            if not self._is_known(channel, post) and not self._follows(channel, post):
                return False
            self._waiting.popleft()
        return True
