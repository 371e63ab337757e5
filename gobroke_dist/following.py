"""Messages whose client is on another node by now: they follow it there."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gobroke_dist.bus import Forwarded
from gobroke_dist.client import Client
from gobroke_dist.errors import BrokeError
from gobroke_dist.message import Message
from gobroke_dist.runtime import Runtime
from gobroke_dist.wire import node as wire

log = logging.getLogger(__name__)

_HOPS = 8  # how often a message follows a client that moves on and on
_PAUSE = 0.5


class _Left(NamedTuple):
    """A message that came here for clients that are not here."""

    message: Message
    uuids: tuple[str, ...]
    number: int
    hops: int


class Followers:
    """Sends messages on, in the order in which they came (contract R5), each once (R7).

    Args:
        runtime: this process.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._left: deque[_Left] = deque()
        self._following = False

    def follow(self, message: Message, uuids: tuple[str, ...], number: int, *, hops: int) -> None:
        """A message came for clients that are not here.

        Args:
            message: what came.
            uuids: its clients.
            number: that it came with.
            hops: how often it has followed a client before.
        """
        metrics = self._runtime.metrics
        if hops >= _HOPS or len(self._left) >= self._runtime.settings.pending_limit:
            metrics.drop("client_gone", len(uuids))
            return
        self._left.append(_Left(message, uuids, number, hops))
        if not self._following:
            self._following = True
            self._runtime.spawn(self._follow_all())

    async def inherit(self) -> None:
        """Send on what was published to nodes that are gone, for clients that had come back elsewhere before."""
        for node in self._runtime.registry.retired:
            remains = await self._runtime.bus.remains(node)
            if not remains:
                continue
            envelopes = [(number, wire.read_delivery(data)) for number, data in remains]
            uuids = {uuid for _, envelope in envelopes if envelope for uuid in envelope.to or ()}
            located = await self._runtime.registry.locate(uuids)
            for number, envelope in envelopes:
                to = _copies(envelope.message(), envelope.to or (), located, envelope.moved) if envelope else []
                if to or number == remains[-1][0]:
                    await self._runtime.bus.forward(node, number, to, gone=True)

    async def _follow_all(self) -> None:
        try:
            while self._left:
                try:
                    await self._follow(self._left[0])
                except BrokeError as error:
                    log.warning("messages to clients that have moved wait: %s", error)
                    await asyncio.sleep(_PAUSE)
                    continue
                self._left.popleft()
        finally:
            self._following = False

    async def _follow(self, left: _Left) -> None:
        node, metrics = self._runtime.node, self._runtime.metrics
        located = await self._runtime.registry.locate(left.uuids, away=True)
        elsewhere = {uuid: client for uuid, client in located.items() if client.node != node}
        if elsewhere:
            to = _copies(left.message, left.uuids, elsewhere, left.hops)
            await self._runtime.bus.forward(node, left.number, to)
        metrics.count("kept", len(located) - len(elsewhere))  # away, or not yet here again: the log has it
        metrics.drop("client_gone", len(left.uuids) - len(located))


def _copies(message: Message, uuids: Sequence[str], located: Mapping[str, Client], hops: int) -> list[Forwarded]:
    there = [located[uuid] for uuid in uuids if uuid in located]
    return [
        Forwarded(client.uuid, client.node, wire.deliver(message, [client.uuid], moved=hops + 1)) for client in there
    ]
