"""What arrives at this node from others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from gobroke_dist.bus import Arrival, Reply
from gobroke_dist.directory import close_local
from gobroke_dist.errors import FrameInvalid
from gobroke_dist.message import Message
from gobroke_dist.request import Receipt
from gobroke_dist.runtime import Runtime
from gobroke_dist.session import CloseCode, Session
from gobroke_dist.wire import node as wire


class Arrivals:
    """Takes one datum after another off the bus.

    Args:
        runtime: this process.
        spawn: runs something in the background.
        give: tells a client what has become of its message.
        replaced: hears of a session that has lost its place.
        post: takes what a client has sent by way of another node.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        give: Callable[[Session, Receipt], None],
        replaced: Callable[[wire.Close], None],
        post: Callable[[wire.Posted], Awaitable[wire.Taken]],
    ) -> None:
        self._runtime = runtime
        self._spawn = spawn
        self._give = give
        self._replaced = replaced
        self._post = post
        groups = runtime.group_directory
        self._takers: dict[type[wire.Envelope], Callable[[Any, Arrival], None]] = {
            wire.Deliver: self._deliver,
            wire.Close: self._take_close,
            wire.Posted: self._take_posted,
            wire.Receipt: self._take_receipt,
            wire.Answer: lambda answer, _: runtime.requests.came(answer),
            wire.Membership: lambda news, _: groups.told(news),
            wire.Rejoined: lambda news, _: groups.rejoined(news),
            wire.Echo: lambda echo, _: groups.echoed(echo),
        }

    def take(self, arrival: Arrival) -> None:
        """See to what has arrived. Must be called in the order of the bus."""
        try:
            envelope = wire.decode(arrival.data)
        except FrameInvalid:
            self._runtime.metrics.drop("bad_datum")
            return
        take = self._takers.get(type(envelope))
        if take is not None:
            take(envelope, arrival)

    def _deliver(self, envelope: wire.Deliver, arrival: Arrival) -> None:
        message, hub = envelope.message(), self._runtime.hub
        own = envelope.origin == self._runtime.node
        if envelope.to is None:
            hub.deliver_to_all(message, envelope.exclude, number=arrival.number, others_have_it=own)
            return
        if envelope.groups:
            gone = hub.deliver_to_groups(
                message,
                envelope.groups,
                uuids=envelope.to,
                exclude=envelope.exclude,
                number=arrival.number,
                others_have_it=own,
            )
        else:
            gone = hub.deliver(message, envelope.to, number=arrival.number, moved=envelope.moved)
        if gone and not arrival.complete:
            self._spawn(self._forward(message, gone, moved=envelope.moved))

    async def _forward(self, message: Message, gone: tuple[str, ...], *, moved: bool) -> None:
        """Follow clients that have moved to another node meanwhile: once, so that there is no loop (contract R7)."""
        located = {} if moved else await self._runtime.registry.locate(gone, away=True)
        here = [uuid for uuid, client in located.items() if client.node == self._runtime.node]
        self._runtime.metrics.count("kept", len(here))  # away, or not yet here again: the log has it
        for uuid in gone:
            if uuid not in located:
                self._runtime.metrics.drop("client_gone")
                self._runtime.requests.fail(message, "client_gone")
        for uuid in located.keys() - set(here):
            await self._runtime.bus.send(wire.deliver(message, [uuid], moved=True), [uuid])

    def _take_receipt(self, envelope: wire.Receipt, _: Arrival) -> None:
        session = self._runtime.hub.get(envelope.client)
        if session is None:
            self._spawn(self._forward_receipt(envelope))
        else:
            self._give(session, Receipt(envelope.uuid, envelope.logic, envelope.state, envelope.reason))

    async def _forward_receipt(self, envelope: wire.Receipt) -> None:
        located = {} if envelope.moved else await self._runtime.registry.locate([envelope.client])
        client = located.get(envelope.client)
        if client is None or client.node == self._runtime.node:
            self._runtime.metrics.drop("client_gone")
        else:
            await self._runtime.bus.publish(client.node, wire.encode(msgspec.structs.replace(envelope, moved=True)))

    def _take_close(self, envelope: wire.Close, arrival: Arrival) -> None:
        if arrival.reply is not None:
            self._spawn(self._close(envelope, arrival.reply))
        else:
            self._replaced(envelope)

    def _take_posted(self, envelope: wire.Posted, arrival: Arrival) -> None:
        if arrival.reply is not None:
            self._spawn(self._answer_posted(envelope, arrival.reply))

    async def _answer_posted(self, envelope: wire.Posted, reply: Reply) -> None:
        await reply(wire.encode(await self._post(envelope)))

    async def _close(self, envelope: wire.Close, reply: Reply) -> None:
        done = await close_local(
            self._runtime.hub,
            envelope.client,
            envelope.session,
            code=CloseCode(envelope.code),
            reason=envelope.reason,
        )
        await reply(wire.encode(wire.Closed(done)))
