"""What clients send outside of their connections, by way of any node: it is processed where the connection is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hmac import compare_digest
from weakref import WeakValueDictionary

from gobroke_dist.errors import BrokeError, ClientDoesNotExist, FrameInvalid, Unauthorised, Unavailable
from gobroke_dist.message import Message
from gobroke_dist.reception import Reception
from gobroke_dist.request import Outcome
from gobroke_dist.runtime import Runtime
from gobroke_dist.session import CloseCode, ClosingProtocol, Session, SessionState
from gobroke_dist.wire import node as wire


class Posting:
    """Brings a frame to the session that it belongs to. So its order, its limits, the client's groups and what its
    token allows are those of its connection, whichever node the frame came to.

    Args:
        runtime: this process.
        reception: takes the messages of this node's clients.
        heard: is told of a session that has sent a message.
    """

    def __init__(self, runtime: Runtime, reception: Reception, heard: Callable[[Session, Message], None]) -> None:
        self._runtime = runtime
        self._reception = reception
        self._heard = heard
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def post(self, client: str, token: str, frame: bytes) -> Outcome:
        """As ``Gateway.post``."""
        if client in self._runtime.hub:
            return await self._take(client, token, frame)
        found = (await self._runtime.registry.locate([client])).get(client)
        if found is None or found.node == self._runtime.node:
            raise ClientDoesNotExist(client)
        posted = wire.encode(wire.Posted(client, token, frame))
        timeout = self._runtime.settings.request_timeout
        try:
            answer = wire.decode(await self._runtime.bus.request(found.node, posted, timeout=timeout))
        except (TimeoutError, FrameInvalid):
            raise Unavailable("the client's node did not answer; send it again, with the same uuid") from None
        if not isinstance(answer, wire.Taken):
            raise Unavailable("the client's node answered something else; send it again, with the same uuid")
        return _known(client, Outcome(answer.uuid, answer.code, answer.text, answer.field, answer.retry_after))

    async def posted(self, envelope: wire.Posted) -> wire.Taken:
        """What another node has got for a client of this one."""
        try:
            outcome = await self._take(envelope.client, envelope.token, envelope.frame)
        except BrokeError as error:
            outcome = _outcome(error, None)
        return wire.Taken(*outcome)

    async def _take(self, client: str, token: str, frame: bytes) -> Outcome:
        session = self._runtime.hub.get(client)
        if session is None or session.state is not SessionState.OPEN:
            raise ClientDoesNotExist(client)
        if not session.secret or not compare_digest(session.token.encode(), token.encode()):
            raise Unauthorised("that is not the token of this client's session")
        turn = self._turns.setdefault(session.id, asyncio.Lock())
        async with turn:  # as they come, as on a connection
            if session.ending:
                raise ClientDoesNotExist(client)
            if isinstance(session.protocol, ClosingProtocol) and (code := session.protocol.decode_close(frame)):
                session.close(CloseCode(code), "closed by the client")
                return Outcome(None)
            try:
                message = session.protocol.decode(frame, session.client)
            except BrokeError as error:
                return self._refused(self._reception.no_message(session, error), None)
            self._heard(session, message)
            try:
                await self._reception.handle(session, message)
            except BrokeError as error:
                return self._refused(error, message.uuid)
            return Outcome(message.uuid)

    def _refused(self, error: BrokeError, uuid: str | None) -> Outcome:
        self._reception.refused(error)
        return _outcome(error, uuid)


def _outcome(error: BrokeError, uuid: str | None) -> Outcome:
    return Outcome(uuid, error.code, str(error), getattr(error, "field", None), getattr(error, "retry_after", 0.0))


def _known(client: str, outcome: Outcome) -> Outcome:
    """What a node said; that it has no such session (any more) is raised, as it would be here."""
    if outcome.uuid is None and outcome.code == Unauthorised.code:
        raise Unauthorised(outcome.text.removeprefix("unauthorised: "))
    if outcome.uuid is None and outcome.code == ClientDoesNotExist.code:
        raise ClientDoesNotExist(client)
    return outcome
