"""What clients send to this node, and what they are told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine

from gobroke_dist.asking import Waiting
from gobroke_dist.errors import BrokeError, FrameInvalid, GroupNotAllowed, RateLimited, RequestInvalid
from gobroke_dist.logic import LogicType
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.request import ClientReply, ClientRequest, ClientToken, Receipt
from gobroke_dist.runtime import Runtime
from gobroke_dist.session import Session
from gobroke_dist.warden import Warden
from gobroke_dist.wire import node as wire

log = logging.getLogger(__name__)


class Reception:
    """Takes one message after another from each client.

    Args:
        runtime: this process.
        spawn: runs something in the background.
        warden: says who may send what, and how fast.
    """

    def __init__(
        self, runtime: Runtime, spawn: Callable[[Coroutine[object, object, None]], None], warden: Warden
    ) -> None:
        self._runtime = runtime
        self._spawn = spawn
        self._warden = warden

    async def receive(self, session: Session, message: Message) -> None:
        """Route one message of a client; what is wrong with it is the client's to know."""
        try:
            await self.handle(session, message)
        except BrokeError as error:
            self.refuse(session, error, message.uuid)

    async def handle(self, session: Session, message: Message) -> None:
        """As ``receive``; what is wrong is the caller's to tell. Raises ``BrokeError``."""
        try:
            self._warden.spend(session)
            self._warden.require_authorised(session, message)
            if isinstance(message, ClientReply):
                await self._reply(session, message)
            elif isinstance(message, ClientToken):
                await self._warden.refresh(session, message)
            elif isinstance(message, ClientRequest):
                await self._request(session, message)
            else:
                await self._route(session, message)
        except BrokeError:
            raise
        except Exception:
            # A defect here must cost this message only (contract R8); the client may send it again.
            log.exception("message %s could not be routed", message.uuid)
            raise BrokeError("the server failed on this message") from None

    def refuse_frame(self, session: Session, error: BrokeError) -> None:
        """Tell a client what is wrong with a frame that is no message. It counts as one."""
        self.refuse(session, self.no_message(session, error), None)

    def no_message(self, session: Session, error: BrokeError) -> BrokeError:
        """What to tell of a frame that is no message, and counts as one."""
        try:
            self._warden.spend(session)
        except RateLimited as too_fast:
            return too_fast
        return error

    def refused(self, error: BrokeError) -> None:
        """Count a message of a client that was not taken."""
        self._runtime.metrics.count(f"refused_{error.code}")

    def refuse(self, session: Session, error: BrokeError, uuid: str | None) -> None:
        """Tell a client what is wrong with its message, and count it."""
        self.refused(error)
        frame = session.protocol.encode_error(error, uuid)
        if frame is not None:
            session.push(frame)

    def give(self, session: Session, receipt: Receipt) -> None:
        """Tell a client what has become of its message."""
        frame = session.protocol.encode_receipt(receipt)
        if frame is not None:
            session.push(frame)

    async def _route(self, session: Session, message: Message, reply_to: ReplyTo | None = None) -> None:
        self._check_groups(session, message)
        accepting = self._workers(message) if message.receipt else []
        await self._runtime.router.receive(message, self._runtime.outlet(from_client=True), reply_to=reply_to)
        for logic in accepting:
            self.give(session, Receipt(message.uuid, logic, "accepted"))

    def _check_groups(self, session: Session, message: Message) -> None:
        """Which groups a client may send to. What a middleware or a logic addresses is not looked at."""
        if not message.to_group:
            return
        own = self._runtime.hub.membership.groups_of(session.id)
        for group in message.to_group:
            if not self._runtime.settings.client_groups:
                raise GroupNotAllowed(group, "clients may not send to groups; a logic may, or set client_groups")
            if group not in own:
                raise GroupNotAllowed(group, f"this client is not in group {group!r}; it has to join first")

    def _workers(self, message: Message) -> list[str]:
        """The logics that give a receipt. Raises ``FrameInvalid``."""
        logics = self._runtime.application.logics
        named = [logics[name] for name in dict.fromkeys(message.to_logic) if name in logics]
        workers = [logic.name for logic in named if logic.logic_type is LogicType.WORKER]
        if not workers and len(named) == len(set(message.to_logic)):
            raise FrameInvalid("only WORKER logic gives receipts, and this message is for none", field="receipt")
        return workers

    async def _reply(self, session: Session, reply: ClientReply) -> None:
        to = session.asked(reply.request)
        if to is None:
            why = f"there is no request {reply.request!r} that this client was asked and has not answered"
            raise RequestInvalid(reply.request, why)
        passed = await self._runtime.router.received(reply)
        sender = wire.Sender(session.client.uuid, None)
        await self._runtime.requests.send_answer(to, wire.Answer(to.id, sender, passed.message_raw))
        session.answered(to)

    async def _request(self, session: Session, request: ClientRequest) -> None:
        if len(request.to_logic) != 1 or request.to_client or request.to_group or request.to_all:
            raise RequestInvalid(request.uuid, "a client asks one logic, and nobody else")
        session.require_room()
        waiting = self._runtime.requests.open(request, request.timeout)
        try:
            await self._route(session, request, waiting.to)
        except BaseException:
            waiting.close()
            raise
        session.asking.add(waiting.to.id)
        self._spawn(self._tell_answer(session, request.uuid, waiting))

    async def _tell_answer(self, session: Session, uuid: str, waiting: Waiting) -> None:
        try:
            with waiting:
                frame = session.protocol.encode_reply(await waiting.answer())
            if frame is not None:
                session.push(frame)
        except BrokeError as error:
            self.refuse(session, error, uuid)
        finally:
            session.asking.discard(waiting.to.id)
