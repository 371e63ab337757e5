"""A session whose client fetches what it gets: one poll after another, and between them nothing.

Between polls the session stays open on its node for ``ping_timeout``; then its client is away, and what is sent to it
is kept in the log. A poll that comes to another node moves the client there, as any client that comes back is moved. ::

    poll ─▶ collect ─▶ answer, kept until the next poll shows that it has come
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hmac import compare_digest

import msgspec

from endpoints.event_protocol import Event, EventProtocol, retry_after
from endpoints.hello import Hello
from endpoints.link import WRITE_AHEAD
from endpoints.place import Place
from gobroke_dist.access.door import Seat
from gobroke_dist.endpoint import Gateway
from gobroke_dist.session import CloseCode, SessionState


class Answer(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a poll is answered with."""

    next: str
    frames: list[msgspec.Raw]
    closed: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Mailbox:
    """One session.

    Args:
        gateway: the node.
        hello: who it is, and what it asks for.
        seat: how it is counted, for as long as it is open.
        forgotten: called when nobody may ask for it any more.
    """

    def __init__(
        self,
        gateway: Gateway,
        protocol: EventProtocol,
        hello: Hello,
        seat: Seat,
        forgotten: Callable[[Mailbox], None],
    ) -> None:
        self.session = gateway.session(hello.client, protocol, self._wake, hello.recovery, hello.asked)
        self.gone = asyncio.Event()
        self._gateway = gateway
        self._protocol = protocol
        self._seat = seat
        self._forgotten = forgotten
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._turn = 0
        self._before = self._after = hello.recovery.number if hello.recovery else 0
        self._sent: list[msgspec.Raw] = []
        self._left: deque[bytes] = deque()
        self._connected = False
        self._ending: asyncio.Task[None] | None = None
        self._lapse: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        """Register the client. Raises as ``Gateway.connect``; then there is no mailbox."""
        try:
            await self._gateway.connect(self.session)
        except BaseException:
            self._seat.leave()
            self.session.closed()
            self.gone.set()
            await self._gateway.disconnect(self.session)
            raise
        self._connected = True
        self._wake()

    def is_at(self, place: Place) -> bool:
        """Whether a client that shows this can go on with what is here."""
        known = compare_digest(self.session.token.encode(), place.session.encode())
        return known and place.offset in (self._before, self._after)

    async def collect(self, place: Place | None, wait: float) -> Answer:
        """What there is, or, if there is nothing yet, what comes within some seconds. A poll that waits already is
        answered with nothing.

        Args:
            place: what the client has seen.
            wait: seconds.
        """
        self._turn += 1
        turn = self._turn
        self._more.set()
        if self._lapse is not None:
            self._lapse.cancel()
        try:
            if place is None or place.offset == self._after:
                self._sent = []
            if not self._sent:
                await self._fill(turn, wait)
            return self._answer(turn)
        finally:
            if turn == self._turn:
                self._lapse = self._loop.call_later(self._gateway.settings.ping_timeout, self._lapsed)

    def leave_node(self) -> None:
        """This node ends."""
        self.session.close(CloseCode.GOING_AWAY, "this node is shutting down")

    async def ended(self) -> None:
        """Return when the client is registered here no longer, if it is about to end."""
        if self._ending is not None:
            await asyncio.shield(self._ending)

    async def _fill(self, turn: int, wait: float) -> None:
        self._take()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not self._sent and not self.gone.is_set() and turn == self._turn:
                    self._more.clear()
                    await self._more.wait()
                    if turn == self._turn:
                        self._take()

    def _take(self) -> None:
        packed = [self._left.popleft()] if self._left else self.session.take(WRITE_AHEAD)
        if not packed:
            return
        self._before = self._after
        events = [Event.read(one) for one in packed]
        self._after = next((event.offset for event in reversed(events) if event.offset is not None), self._after)
        self._sent = [msgspec.Raw(event.frame) for event in events]

    def _answer(self, turn: int) -> Answer:
        session = self.session
        place = str(Place(session.client.uuid, session.token, self._after))
        if turn != self._turn:
            return Answer(place, [])
        if self._left or not self.gone.is_set() or session.close_code is None:
            return Answer(place, self._sent)
        self._forgotten(self)  # it has been told
        closed = self._protocol.encode_closed(session.close_code, session.close_reason, retry_after(session))
        return Answer(place, self._sent, msgspec.Raw(Event.read(closed).frame))

    def _wake(self) -> None:
        self._more.set()
        if self._connected and self.session.state is SessionState.CLOSING:
            self._end()

    def _lapsed(self) -> None:
        self.session.close(CloseCode.PING_TIMEOUT, "no poll came")
        self._forgotten(self)

    def _end(self) -> None:
        """The client is not here any more; what it can still be told is kept until it lapses."""
        if self.gone.is_set():
            return
        self._left.extend(self.session.take())
        self.session.closed()
        self.gone.set()
        self._more.set()
        self._seat.leave()
        if self.session.close_code is CloseCode.REPLACED:
            self._forgotten(self)  # what the client shows now is good elsewhere
        self._ending = self._loop.create_task(self._gateway.disconnect(self.session))
