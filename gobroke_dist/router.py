"""Puts routes into effect; the only place that orders effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gobroke_dist import middleware, payload
from gobroke_dist.errors import ClientDoesNotExist, LogicDoesNotExist, LogicIsPassive, MessageRejected
from gobroke_dist.groups import check
from gobroke_dist.hub import Hub
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.metrics import Metrics
from gobroke_dist.ordering import order_key
from gobroke_dist.outlet import Outlet, Task
from gobroke_dist.registry import Registry
from gobroke_dist.routing import Route, View, route
from gobroke_dist.wire import node as wire

_SENT_AT_ONCE = 1000  # recipients that one datum names, so that no step holds Redis up for long


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

    async def send(
        self, message: Message, outlet: Outlet, *, reply_to: ReplyTo | None = None, receipt: ReplyTo | None = None
    ) -> None:
        """Route what a logic, or the application, sends. With ``reply_to`` it is a request; ``receipt`` is told how it
        ends at a WORKER logic.

        What can be delivered is delivered, then the first error is raised.

        Raises:
            MessageRejected: by a send middleware.
            LogicDoesNotExist, LogicIsPassive, PayloadInvalid: of ``to_logic``; nothing was sent.
            GroupInvalid: of ``to_group``; nothing was sent.
            ClientDoesNotExist: a recipient given by uuid is connected nowhere.
            Unavailable: something was not accepted.
        """
        self._metrics.count("sent")
        passed = await self._passed(self._send_middleware, message)
        await self._route(_asking(passed, reply_to, receipt=receipt or False), outlet)

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
        for group in message.to_group:
            check(group)
        here = {client.uuid for client in message.to_client if self._hub.has_unnumbered(client.uuid)}
        routed = route(message, View(logics=types, here=here))
        self._refuse_bad_logics(routed)
        for_logics = [self._for_logic(name, message) for name in (*routed.dispatched, *routed.workers)]
        nowhere = await self._unknown(message) if outlet.deferred else frozenset()
        self._deliver(routed, message, outlet, nowhere)
        for name, copy in for_logics:
            if types[name] is LogicType.WORKER:
                outlet.enqueue(Task(name, order_key(self._logics[name], copy), copy))
            else:
                outlet.dispatch(name, copy)
        self._report_missing(message, (*nowhere, *await outlet.settled()))

    async def _unknown(self, message: Message) -> frozenset[str]:
        """Those of the recipients given by uuid that are nowhere. One that the framework named is gone at the worst."""
        named = [] if message.to_all else [client.uuid for client in message.to_client if not client.node]
        if not named:
            return frozenset()
        return frozenset(named).difference(await self._registry.locate(named, away=True))

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

    def _deliver(self, routed: Route, message: Message, outlet: Outlet, nowhere: frozenset[str]) -> None:
        if routed.everyone:
            # Own clients get it at once, like all that goes to them: what is sent next can't overtake it (R5).
            self._hub.deliver_to_all(message, routed.exclude)
            outlet.broadcast(wire.deliver_to_all(message, exclude=routed.exclude, origin=self._node))
        local, groups, exclude = routed.local, routed.groups, routed.exclude
        elsewhere = [uuid for uuid in routed.elsewhere if uuid not in nowhere]
        if groups:
            self._count_gone(self._hub.deliver_to_groups(message, groups, uuids=local, exclude=exclude))
            data = wire.deliver(message, elsewhere, groups=groups, exclude=exclude, origin=self._node)
            outlet.send(data, elsewhere, groups)
            return
        if local:
            self._count_gone(self._hub.deliver(message, local))
        for start in range(0, len(elsewhere), _SENT_AT_ONCE):
            part = elsewhere[start : start + _SENT_AT_ONCE]
            outlet.send(wire.deliver(message, part), part)

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


def _asking(message: Message, reply_to: ReplyTo | None, *, receipt: bool | ReplyTo) -> Message:
    """The message with what its sender wants to hear. What a logic sends on may say what somebody else wanted."""
    if message.reply_to == reply_to and message.receipt == receipt:
        return message
    copy = message.copy()
    copy.reply_to, copy.receipt = reply_to, receipt
    return copy
