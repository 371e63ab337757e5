"""Puts routes into effect; the only place that orders effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import filterfalse

from gobroke_dist import middleware, payload
from gobroke_dist.errors import ClientDoesNotExist, LogicDoesNotExist, LogicIsPassive, MessageRejected
from gobroke_dist.hub import Hub
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.metrics import Metrics
from gobroke_dist.ordering import order_key
from gobroke_dist.outlet import Outlet, Task
from gobroke_dist.registry import Registry
from gobroke_dist.routing import Route, View, route
from gobroke_dist.wire import node as wire

_MOVES = 5  # how often a client may move while a message is on its way to it


class Router:
    """Routes the messages that enter the system in this process.

    Args:
        node: this process's id.
        logics: the application's logics by name; read at each message, so it may change.
        registry: where other nodes' clients are looked up.
        hub: this process's own clients.
        metrics: where messages and drops are counted.
        receive_middleware, send_middleware: the chains, in the order attached.
    """

    def __init__(
        self,
        *,
        node: str,
        logics: Mapping[str, LogicBase],
        registry: Registry,
        hub: Hub,
        metrics: Metrics,
        receive_middleware: list[middleware.Middleware],
        send_middleware: list[middleware.Middleware],
    ) -> None:
        self._node = node
        self._logics = logics
        self._registry = registry
        self._hub = hub
        self._metrics = metrics
        self._receive_middleware = receive_middleware
        self._send_middleware = send_middleware

    async def receive(self, message: Message, outlet: Outlet, *, reply_to: ReplyTo | None = None) -> None:
        """Route what a local client sent. Raises like ``send``; the caller tells the client."""
        passed = await self.received(message)
        await self._route(_asking(passed, reply_to, receipt=message.receipt), outlet)

    async def received(self, message: Message) -> Message:
        """What is left of a local client's message after the receive middleware. Raises ``MessageRejected``."""
        self._metrics.count("received")
        return await self._passed(self._receive_middleware, message)

    async def send(self, message: Message, outlet: Outlet, *, reply_to: ReplyTo | None = None) -> None:
        """Route what a logic, or the application, sends. With ``reply_to`` it is a request.

        What can be delivered is delivered, then the first error is raised.

        Raises:
            MessageRejected: by a send middleware.
            LogicDoesNotExist, LogicIsPassive, PayloadInvalid: of ``to_logic``; nothing was sent.
            ClientDoesNotExist: a recipient given by uuid is connected nowhere.
            Unavailable: something was not accepted.
        """
        self._metrics.count("sent")
        passed = await self._passed(self._send_middleware, message)
        await self._route(_asking(passed, reply_to, receipt=False), outlet)

    async def send_quickly(self, message: Message, outlet: Outlet) -> None:
        """As ``send``, past every logic (contract R2)."""
        self._metrics.count("sent")
        passed = await self._passed(self._send_middleware, message)
        if passed.to_logic:
            passed = passed.copy()
            passed.to_logic = ()
        await self._route(_asking(passed, None, receipt=False), outlet)

    async def _passed(self, chain: list[middleware.Middleware], message: Message) -> Message:
        if not chain and not message.rejected:
            return message
        passed = await middleware.run(chain, message)
        if passed.rejected:
            self._metrics.drop(passed.reason)
            raise MessageRejected(passed.reason)
        return passed

    async def _route(self, message: Message, outlet: Outlet) -> None:
        types = {name: self._logics[name].logic_type for name in message.to_logic if name in self._logics}
        found = {} if message.to_all else await self._locate(message)
        routed = route(message, View(node=self._node, logics=types, locations=found))
        self._refuse_bad_logics(routed)
        for_logics = [self._for_logic(name, message) for name in (*routed.dispatched, *routed.workers)]
        self._deliver(routed, message, outlet)
        for name, copy in for_logics:
            if types[name] is LogicType.WORKER:
                outlet.enqueue(Task(name, order_key(self._logics[name], copy), copy))
            else:
                outlet.dispatch(name, copy)
        missing = await self._send_after(message, await outlet.settled(), outlet)
        self._report_missing(message, (*routed.missing_clients, *missing))

    async def _locate(self, message: Message) -> dict[str, str]:
        """Where the recipients are, looked up in one trip; one that carries its node is taken at its word at first."""
        found: dict[str, str] = {}
        unknown: list[str] = []
        for client in message.to_client:
            if client.uuid in self._hub:
                found[client.uuid] = self._node
            elif client.node and client.node != self._node:
                found[client.uuid] = client.node
            else:
                unknown.append(client.uuid)
        if unknown:
            located = await self._registry.locate(unknown, away=True)
            found.update((uuid, client.node) for uuid, client in located.items())
        return found

    async def _send_after(self, message: Message, moved: tuple[str, ...], outlet: Outlet) -> tuple[str, ...]:
        """Some were not where they were taken to be: send it to where they are. Returns who is nowhere."""
        missing: list[str] = []
        for _ in range(_MOVES):
            if not moved:
                break
            located = await self._registry.locate(moved, away=True)
            missing += (uuid for uuid in moved if uuid not in located)
            for uuid, client in located.items():
                outlet.publish(client.node, wire.deliver(message, [uuid]), (uuid,))
            moved = await outlet.settled()
        return (*missing, *moved)

    def _refuse_bad_logics(self, routed: Route) -> None:
        for name in routed.unknown_logics:
            self._metrics.drop(LogicDoesNotExist.code)
            raise LogicDoesNotExist(name)
        for name in routed.passive:
            self._metrics.drop(LogicIsPassive.code)
            raise LogicIsPassive(name)

    def _for_logic(self, name: str, message: Message) -> tuple[str, Message]:
        """A copy of its own for each logic, so that none sees what another does to it."""
        copy = message.copy()
        payload.validate(self._logics[name], copy)
        return name, copy

    def _deliver(self, routed: Route, message: Message, outlet: Outlet) -> None:
        if routed.everyone:
            # Own clients get it at once, like all that goes to them: what is sent next can't overtake it (R5).
            self._hub.deliver_to_all(message, routed.exclude)
            outlet.broadcast(wire.deliver_to_all(message, exclude=routed.exclude, origin=self._node))
        self._deliver_here(routed.local, message, outlet)
        for node, uuids in routed.remote.items():
            outlet.publish(node, wire.deliver(message, list(uuids)), uuids)

    def _deliver_here(self, uuids: tuple[str, ...], message: Message, outlet: Outlet) -> None:
        """At once; but a client that may come back, or is away, gets all in the order of the bus, which keeps it."""
        direct = tuple(filter(self._hub.has_unnumbered, uuids))
        if len(direct) < len(uuids):
            numbered = tuple(filterfalse(self._hub.has_unnumbered, uuids))
            outlet.publish(self._node, wire.deliver(message, list(numbered)), numbered)
        if direct:
            self._count_gone(self._hub.deliver(message, direct))

    def _report_missing(self, message: Message, missing: Iterable[str]) -> None:
        """An unknown uuid is the sender's error. A client that the framework named, and that left since, is not."""
        named = {client.uuid for client in message.to_client if client.node}
        unknown = [uuid for uuid in missing if uuid not in named]
        self._count_gone(uuid for uuid in missing if uuid in named)
        if unknown:
            self._metrics.drop(ClientDoesNotExist.code, len(unknown))
            raise ClientDoesNotExist(unknown[0])

    def _count_gone(self, uuids: Iterable[str]) -> None:
        for _ in uuids:
            self._metrics.drop("client_gone")


def _asking(message: Message, reply_to: ReplyTo | None, *, receipt: bool) -> Message:
    """The message with what its sender wants to hear. What a logic sends on may say what somebody else wanted."""
    if message.reply_to == reply_to and message.receipt is receipt:
        return message
    copy = message.copy()
    copy.reply_to, copy.receipt = reply_to, receipt
    return copy
