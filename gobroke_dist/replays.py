"""What was sent to clients while they were away, read once for all that come back at about the same time (contract C7).

When an edge dies, all of its clients come back within seconds, and what each of them missed lies scattered in the same
log. To read and decode that for every client anew costs each as much as the log is long.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from operator import itemgetter

from gobroke_dist.bus import Bus, Missed
from gobroke_dist.errors import FrameInvalid
from gobroke_dist.wire import node as wire

_KEPT_SECONDS = 5.0

Numbered = tuple[int, wire.Deliver | wire.Membership]
_number = itemgetter(0)


class Replays:
    """Finds what concerns a client in the logs of channels. What was read is kept for some seconds.

    Args:
        bus: reads the logs.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._parts: dict[tuple[str, str | None], _Part] = {}

    async def of(self, uuid: str, epoch: str, node: str | None, since: int, until: int) -> list[Numbered] | None:
        """What was sent to a node, or (None) to all, after one number of an epoch and up to another, and may be for a
        client or says what groups it was in, in order.

        None: not all of it is kept any more. Raises ``RedisUnavailable``.
        """
        part = self._part((epoch, node), since)
        async with part.reading:
            if since < part.since:
                before = await self._bus.replay(node, since, part.since)
                if before is None:
                    return None
                part.put_before(since, before)
            if until > part.until:
                after = await self._bus.replay(node, part.until, until)
                if after is None:
                    self._forget((epoch, node), part)
                    return None
                part.put_after(until, after)
        return part.find(uuid, since, until)

    def _part(self, of: tuple[str, str | None], since: int) -> _Part:
        part = self._parts.get(of)
        if part is None:
            part = self._parts[of] = _Part(since)
            asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._forget, of, part)
        return part

    def _forget(self, of: tuple[str, str | None], part: _Part) -> None:
        if self._parts.get(of) is part:
            del self._parts[of]


class _Part:
    """A part of one log, decoded.

    Args:
        since: the number after which it begins, and, while it is empty, ends.
    """

    def __init__(self, since: int) -> None:
        self.since = self.until = since
        self.reading = asyncio.Lock()
        self._for_many: list[Numbered] = []
        self._for_one: defaultdict[str, list[Numbered]] = defaultdict(list)

    def put_before(self, since: int, data: Missed) -> None:
        """What came before it, after ``since``."""
        earlier = _Part(since)
        earlier.put_after(self.since, data)
        self.since = since
        self._for_many[:0] = earlier._for_many
        for uuid, found in earlier._for_one.items():
            self._for_one[uuid][:0] = found

    def put_after(self, until: int, data: Missed) -> None:
        """What came after it, up to ``until``."""
        self.until = until
        for number, datum in data:
            envelope = _read(datum)
            if isinstance(envelope, wire.Membership):
                self._for_one[envelope.client].append((number, envelope))
            elif isinstance(envelope, wire.Deliver):
                self._put(number, envelope)

    def find(self, uuid: str, since: int, until: int) -> list[Numbered]:
        """What may be for a client."""
        found = [*_between(self._for_many, since, until), *_between(self._for_one.get(uuid, ()), since, until)]
        return sorted(found, key=_number)

    def _put(self, number: int, envelope: wire.Deliver) -> None:
        if envelope.to is None or envelope.groups:
            self._for_many.append((number, envelope))
            return
        for uuid in dict.fromkeys(envelope.to):
            self._for_one[uuid].append((number, envelope))


def _between(found: Sequence[Numbered], since: int, until: int) -> Sequence[Numbered]:
    return found[bisect_right(found, since, key=_number) : bisect_right(found, until, key=_number)]


def _read(data: bytes) -> wire.Envelope | None:
    try:
        return wire.decode(data)
    except FrameInvalid:
        return None
