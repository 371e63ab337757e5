"""The edge role: clients on one side, the cluster on the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from gobroke_dist.access.door import Door
from gobroke_dist.admission import REPLACED, Admission
from gobroke_dist.arrivals import Arrivals
from gobroke_dist.calling import Calling
from gobroke_dist.client import Client
from gobroke_dist.clock import SystemClock
from gobroke_dist.directory import close_local
from gobroke_dist.draining import send_away
from gobroke_dist.endpoint import ChoosingEndpoint, Endpoint
from gobroke_dist.errors import BrokeError, ClientAlreadyExists, Draining, RedisUnavailable, Revoked, Unauthorised
from gobroke_dist.identity import ConnectRequest
from gobroke_dist.logic import LogicBase, LogicType, Tick
from gobroke_dist.message import Message
from gobroke_dist.ops.api import API
from gobroke_dist.ops.gate import Gate
from gobroke_dist.posting import Posting
from gobroke_dist.presence import Presence
from gobroke_dist.reception import Reception
from gobroke_dist.request import Outcome
from gobroke_dist.returning import Returns
from gobroke_dist.runtime import Runtime
from gobroke_dist.schedule import schedule_of
from gobroke_dist.session import CloseCode, FrameProtocol, NumberedProtocol, OutboxLimits, Recovery, Session
from gobroke_dist.settings import Settings
from gobroke_dist.ticker import Ticker
from gobroke_dist.warden import LOOKS, Warden

if TYPE_CHECKING:
    from gobroke_dist.ops.api_server import APIServer

log = logging.getLogger(__name__)

_WRITE_BEHIND_SECONDS = 1.0
_REGISTER_AGAIN_AT_ONCE = 100
_PRESENCE_SECONDS = 0.5
_LEAST_TO_FINISH = 1.0  # seconds for running work, however long it took until the clients were gone


class Node:
    """One edge.

    Args:
        runtime: this process; its role is ``edge``.
        endpoints: how clients reach it.
    """

    def __init__(self, runtime: Runtime, endpoints: Sequence[Endpoint]) -> None:
        self.runtime = runtime
        self.endpoints = endpoints
        self.draining = False
        self._returns = Returns(runtime, self._spawn)
        self._admission = Admission(
            node=runtime.node,
            hub=runtime.hub,
            registry=runtime.registry,
            settings=runtime.settings,
            returns=self._returns,
        )
        self.warden = Warden(runtime)
        self.door = Door(runtime.settings, runtime.metrics, SystemClock().monotonic)
        self.reception = Reception(runtime, self._spawn, self.warden)
        self.posting = Posting(runtime, self.reception, self._heard)
        self._arrivals = Arrivals(
            runtime,
            spawn=self._spawn,
            give=self.reception.give,
            replaced=self._admission.replaced,
            post=self.posting.posted,
        )
        self._presence = Presence(
            node=runtime.node,
            logics=runtime.application.logics,
            groups=runtime.groups,
            send=lambda message: runtime.router.send(message, runtime.outlet()),
            grace=runtime.settings.presence_grace,
        )
        self._touched: dict[str, Client] = {}
        self._unregistered: dict[str, Session] = {}
        self._api: APIServer | None = None
        self.api_address = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where clients reach this node, as URLs."""
        return tuple(address for endpoint in self.endpoints for address in endpoint.addresses)

    async def start(self) -> None:
        """Join the cluster and listen. Returns when clients can connect.

        Raises:
            RedisUnavailable: Redis can't be reached.
            CouldNotCreateServer: an endpoint's address can't be used.
        """
        await self.runtime.open()
        await self.runtime.listen(self._arrivals.take, self._returns.lost)
        await self._presence.begin()
        for index, endpoint in enumerate(self.endpoints):
            await endpoint.start(_EndpointGateway(self, endpoint, first=index == 0))
        await self._serve_api()
        await self.runtime.registry.join(self.runtime.member(self.addresses))
        self.runtime.keep(self._register_all)
        self.runtime.every(_WRITE_BEHIND_SECONDS, self._write_behind)
        self.runtime.every(_PRESENCE_SECONDS, self._presence.tell)
        idle = self.runtime.settings.idle_timeout
        if idle:
            self.runtime.every(idle / LOOKS, self._look)
        self._start_tickers()

    async def stop(self) -> None:
        """Send every client away, finish what runs, and leave the cluster (contract E7).

        From here on the node is not ready, and lets nobody in; whoever is still here is served until its turn comes.
        """
        self.draining = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.runtime.settings.drain_timeout
        await send_away(tuple(self.runtime.hub), self.runtime.settings)
        await asyncio.gather(*(endpoint.stop() for endpoint in self.endpoints))
        if self._api is not None:
            await self._api.stop()
        await self.runtime.close(max(deadline - loop.time(), _LEAST_TO_FINISH))

    # --- what endpoints call, by way of a gateway --------------------------------

    async def connect(self, session: Session, endpoint: Endpoint) -> None:
        """Register a session's client, and open the session."""
        if self.draining:
            raise Draining
        client = session.client
        client.node = self.runtime.node
        client.session = session.id
        client.last_message = datetime.now(UTC)
        client.changed = self._touch
        try:
            await self._admission.admit(session, endpoint)
        except (RedisUnavailable, asyncio.CancelledError):
            self._spawn(self._unregister_later(session))  # it may be registered all the same
            raise
        self.runtime.metrics.count("connected")
        await self.warden.require_valid(session)
        self.warden.opened(session)
        session.opened()

    async def disconnect(self, session: Session) -> None:
        """Let a session go, whoever ended it."""
        if not self.runtime.hub.remove(session):
            return
        self.warden.closed(session)
        if session.close_code is not None:
            self.runtime.metrics.count(f"closed_{session.close_code.name.lower()}")
        self._touched.pop(session.id, None)
        self.runtime.requests.forget(session.asking)
        self.runtime.metrics.count("disconnected")
        try:
            await self._forget(session)
        except BrokeError as error:
            # The registration goes with this node's lease at the latest; renewing leaves it to the write-behind.
            log.warning("client %s is gone but still registered: %s", session.client.uuid, error)
            self._spawn(self._unregister_later(session))

    async def receive_message(self, session: Session, message: Message) -> None:
        """Route one message of a client; what is wrong with it is the client's to know."""
        self._heard(session, message)
        await self.reception.receive(session, message)

    # --- in the background -------------------------------------------------------

    async def _look(self) -> None:
        self.warden.look()

    def _heard(self, session: Session, message: Message) -> None:
        message.from_client = client = session.client
        client.last_message = datetime.now(UTC)
        self._touch(client)

    def _touch(self, client: Client) -> None:
        self._touched[client.session] = client

    async def _write_behind(self) -> None:
        """Metadata and last-message times of the clients that have changed, in one trip (contract C4)."""
        await self._register_rest()
        touched, self._touched = self._touched, {}
        if touched:
            try:
                await self.runtime.registry.update(list(touched.values()))
            except BrokeError:
                self._touched = touched | self._touched
                raise

    async def _register_all(self) -> None:
        """After a lost lease: register every client again, unless it has moved meanwhile (contract C3)."""
        self._unregistered = {session.id: session for session in self.runtime.hub}
        await self._register_rest()

    async def _register_rest(self) -> None:
        """Those that are still to be registered again; what fails now is tried again with the next write-behind.

        First this node learns which groups they had left when its lease ran out; since then, nobody could change that.
        """
        if self._unregistered and self.runtime.hub.membership:
            await self.runtime.group_directory.catch_up()
        while self._unregistered:
            batch = list(self._unregistered.values())[:_REGISTER_AGAIN_AT_ONCE]
            await asyncio.gather(*(self._register_again(session) for session in batch))

    async def _register_again(self, session: Session) -> None:
        try:
            if self.runtime.hub.get(session.client.uuid) is session:
                groups = self.runtime.hub.membership.groups_of(session.id)
                await self.runtime.registry.register(session.client, groups)
                await self._returns.keep(session)
                await self.warden.require_valid(session)  # this node may not have heard that it was revoked
        except Revoked as error:
            await self._send_away(session, CloseCode.REVOKED, str(error))
        except ClientAlreadyExists:
            await self._send_away(session, CloseCode.REPLACED, REPLACED)
        except (TypeError, ValueError):
            log.exception("client %s can't be registered again; it is sent away", session.client.uuid)
            await self._send_away(session, CloseCode.REMOVED, "removed")
        self._unregistered.pop(session.id, None)

    async def _send_away(self, session: Session, code: CloseCode, reason: str) -> None:
        await close_local(self.runtime.hub, session.client.uuid, session.id, code=code, reason=reason)

    async def _forget(self, session: Session) -> None:
        if session.recovery is None or session.ended_for_good:
            await self.runtime.registry.unregister(session.client)
        else:
            await self.runtime.registry.suspend(session.client)

    async def _unregister_later(self, session: Session) -> None:
        while True:
            await asyncio.sleep(_WRITE_BEHIND_SECONDS)
            try:
                await self._forget(session)
            except BrokeError:
                continue
            return

    async def _serve_api(self) -> None:
        """The HTTP API, if it has a port (contract O4)."""
        settings, runtime = self.runtime.settings, self.runtime
        if settings.api_port is None:
            return
        # A worker imports this module, and needs no HTTP server for it.
        from gobroke_dist.ops.api_server import APIServer  # noqa: PLC0415

        api = API(
            operations=runtime.operations,
            registry=runtime.registry,
            groups=runtime.groups,
            logics=runtime.application.logics,
            metrics=runtime.metrics,
            gate=Gate(settings.api_token_list, SystemClock().monotonic),
            draining=lambda: self.draining,
        )
        self._api = APIServer(api, settings, runtime.metrics, self.door.origin)
        await self._api.start()
        self.api_address = self._api.address
        log.info("the HTTP API listens at %s", self.api_address)

    def _start_tickers(self) -> None:
        """PASSIVE logic of the scope ``node``: for this node's own clients (contract P5)."""
        now = SystemClock().now
        for logic in self.runtime.application.logics.values():
            if logic.logic_type is LogicType.PASSIVE and logic.scope == "node":
                ticker = Ticker(schedule_of(logic), now, partial(self._tick, logic))
                self.runtime.spawn(ticker.run(now()))

    async def _tick(self, logic: LogicBase, nominal: datetime) -> None:
        await self.runtime.runner.run(logic, Tick(nominal=nominal, scheduler=self.runtime.node), Calling())

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        self.runtime.spawn(_reported(work))


async def _reported(work: Coroutine[object, object, None]) -> None:
    try:
        await work
    except BrokeError as error:
        log.warning("background work of this node failed: %s", error)
    except Exception:
        log.exception("background work of this node failed")


class _EndpointGateway:
    """The node as one endpoint sees it."""

    def __init__(self, node: Node, endpoint: Endpoint, *, first: bool) -> None:
        settings = node.runtime.settings
        self._node = node
        self._endpoint = endpoint
        # --port is the first endpoint's; the others keep their own.
        self.settings: Settings = settings if first else settings.model_copy(update={"port": None})

    @property
    def door(self) -> Door:
        return self._node.door

    @property
    def ready(self) -> bool:
        return not self._node.draining and self._node.runtime.bus.listening

    def session(
        self,
        client: Client,
        protocol: FrameProtocol,
        wake: Callable[[], None],
        recovery: Recovery | None = None,
        request: ConnectRequest | None = None,
    ) -> Session:
        own = self._endpoint.slow_consumers if isinstance(self._endpoint, ChoosingEndpoint) else None
        limits = OutboxLimits(
            frames=self.settings.channel_size,
            bytes=self.settings.outbox_bytes,
            when_full=own or self.settings.slow_consumers,
        )
        numbered = isinstance(protocol, NumberedProtocol)
        session = Session(client, protocol, limits, wake, recovery if numbered else None)
        session.request = request
        session.on_drop = self._node.runtime.metrics.drop
        return session

    async def connect(self, session: Session) -> None:
        try:
            await self._connect(session)
        except Unauthorised as error:
            self._node.runtime.metrics.drop(error.code)
            raise

    async def _connect(self, session: Session) -> None:
        session.client.node = self._node.runtime.node
        await self._node.warden.identify(session)
        if session.recovery is None:
            # Before registration: nothing that others send can come ahead of the welcome.
            welcome = session.protocol.encode_welcome(session.client)
            if welcome is not None:
                session.push(welcome)
        await self._node.connect(session, self._endpoint)

    async def receive(self, session: Session, frame: bytes) -> None:
        try:
            message = session.protocol.decode(frame, session.client)
        except BrokeError as error:
            self._node.reception.refuse_frame(session, error)
            return
        await self._node.receive_message(session, message)

    async def receive_message(self, session: Session, message: Message) -> None:
        await self._node.receive_message(session, message)

    async def post(self, client: str, token: str, frame: bytes) -> Outcome:
        if self._node.draining:
            raise Draining
        return await self._node.posting.post(client, token, frame)

    async def disconnect(self, session: Session) -> None:
        await self._node.disconnect(session)
