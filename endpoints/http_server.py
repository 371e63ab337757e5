"""The HTTP server behind ``HTTPEndpoint``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast

import msgspec
from aiohttp import web

from endpoints import problem
from endpoints.edge_protocol import EdgeProtocol, health
from endpoints.event_protocol import EventProtocol
from endpoints.event_stream import EventStream
from endpoints.handshake import HandshakeRefused, headers_of, require_origin
from endpoints.hello import Hello, HelloRefused, introduced
from endpoints.link import Links
from endpoints.mailbox import Mailbox
from endpoints.place import Place
from gobroke_dist.draining import come_back_in
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import BrokeError, ClientDoesNotExist, Draining, FrameInvalid
from gobroke_dist.listening import listen
from gobroke_dist.reading import read_whole
from gobroke_dist.request import Outcome
from gobroke_dist.serving import is_packed
from gobroke_dist.session import Session

log = logging.getLogger(__name__)

_SESSION_HEADERS: Final = ("last-event-id", "gobroke-session")
_BODY_FRAGMENT: Final = 64 * 1024


class StreamProtocol(EdgeProtocol):
    """That; and who has a stream of events says no more on its connection."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if isinstance(self.link, EventStream):
            self.link.spoken_to()
        else:
            super().data_received(data)


class Asked:
    """What a request says of who sends it.

    Args:
        request: the request.
        origins: which pages may send one.
        address: where it comes from.

    Raises (when made):
        HandshakeRefused: it says that in a way that is not allowed.
    """

    def __init__(self, request: web.BaseRequest, origins: tuple[str, ...] | None, address: str) -> None:
        self.headers = headers_of((name.lower(), value) for name, value in request.headers.items())
        require_origin(self.headers, origins)
        self.facts = list(request.rel_url.query.items())
        self.address = address
        self.place = self._place()

    @property
    def cors(self) -> dict[str, str]:
        """The headers that let a page of another host, which is allowed, read the answer."""
        origin = self.headers.get("origin")
        if origin is None:
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Expose-Headers": "Retry-After"}

    def hello(self, transport: str, without: Iterable[str] = ()) -> Hello:
        """Who wants to connect. Raises ``HandshakeRefused``."""
        mine = {"after", "recover", *without}
        facts = [fact for fact in self.facts if fact[0] not in mine]
        if self.place is None:
            facts.append(("recover", "1"))
        else:
            facts = [fact for fact in facts if fact[0] not in ("client", "session", "offset")]
            at = self.place
            facts += [("client", at.client), ("session", at.session), ("offset", str(at.offset))]
        try:
            return introduced(facts, transport=transport, address=self.address, headers=self.headers)
        except HelloRefused as refused:
            raise HandshakeRefused(400, str(refused)) from refused

    def _place(self) -> Place | None:
        shown = [self.headers[name] for name in _SESSION_HEADERS if self.headers.get(name)]
        shown += [value for name, value in self.facts if name == "after"][:1]
        try:
            return Place.read(shown[0]) if shown else None
        except HelloRefused as refused:
            raise HandshakeRefused(400, str(refused)) from refused


class HTTPServer:
    """Listens, answers requests, and holds the streams and the mailboxes.

    Args:
        gateway: the node.
        protocol: how clients speak.
        path: what stands before the names of what it does.
        origins: which pages may ask.
    """

    def __init__(
        self, gateway: Gateway, protocol: EventProtocol, *, path: str, origins: tuple[str, ...] | None
    ) -> None:
        self._gateway = gateway
        self._protocol = protocol
        self._origins = origins
        self._http = web.Server(self._answer)
        self._listener: asyncio.Server | None = None
        self._links = Links()
        self._mailboxes: dict[str, Mailbox] = {}
        self._does: dict[str, tuple[str, Callable[[web.BaseRequest, Asked], Awaitable[web.StreamResponse]]]] = {
            f"{path}/events": ("GET", self._events),
            f"{path}/poll": ("GET", self._poll),
            f"{path}/send": ("POST", self._send),
        }

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port. Raises ``CouldNotCreateServer``."""
        door, settings = self._gateway.door, self._gateway.settings
        self._listener, actual = await listen(
            lambda: StreamProtocol(self._http, door, settings.handshake_timeout), host, port, settings
        )
        return actual

    async def stop(self) -> None:
        """Close the listener, then every session with ``GOING_AWAY``; polls that wait are answered."""
        if self._listener is not None:
            self._listener.close()
        mailboxes = list(self._mailboxes.values())
        for mailbox in mailboxes:
            mailbox.leave_node()
        await asyncio.gather(self._links.close_all(), *(mailbox.ended() for mailbox in mailboxes))
        await self._http.shutdown(1.0)

    async def close(self, session: Session) -> None:
        """Wait until a session's connection is gone."""
        await self._links.close(session)
        mailbox = self._mailboxes.get(session.client.uuid)
        if mailbox is not None and mailbox.session is session:
            await mailbox.ended()

    # --- requests ------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol = cast(EdgeProtocol, request.protocol)
        protocol.asked()
        healthy = health(request.path, self._gateway)
        if healthy is not None and request.method in ("GET", "HEAD"):
            return healthy
        if request.path not in self._does:
            return problem.problem(404, "not_found", "there is nothing here")
        visit = protocol.visit
        if visit is None:
            return web.Response(status=503)  # its socket is gone already
        address = self._gateway.door.origin(visit.peer, request.headers.getall("X-Forwarded-For", ()))
        try:
            asked = Asked(request, self._origins, address)
        except HandshakeRefused as refused:
            return problem.problem(refused.status, "refused", str(refused))
        answer = await self._done(request, asked)
        if not answer.prepared:
            answer.headers.update(asked.cors)
            answer.headers["Cache-Control"] = "no-store"
        return answer

    async def _done(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        method, do = self._does[request.path]
        if request.method == "OPTIONS":
            return _preflight(method)
        if request.method != method:
            allow = {"Allow": f"{method}, OPTIONS"}
            return problem.problem(405, "method_not_allowed", f"only {method} is answered here", headers=allow)
        assert self._listener is not None
        if not self._listener.is_serving():
            return self._draining()
        return await _answered(do(request, asked))

    def _draining(self) -> web.Response:
        wait = come_back_in(self._gateway.settings) / 1000
        return _closing(problem.of_outcome(Outcome(None, Draining.code, str(Draining()), retry_after=wait)))

    async def _events(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        protocol = cast(EdgeProtocol, request.protocol)
        assert protocol.visit is not None
        hello = asked.hello("sse")
        protocol.visit.enter(asked.address)
        if request.transport is None:
            return web.Response(status=400)
        stream = EventStream(self._gateway, self._protocol, hello, request, request.transport, headers=asked.cors)
        protocol.link = stream
        try:
            with self._links.holding(stream):
                await stream.run()
        except ConnectionResetError:  # it was gone before it was let in
            return web.Response(status=400)
        return stream.response

    async def _poll(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        wait = _wait(asked, self._gateway.settings.ping_interval)
        place = asked.place
        mailbox = self._mailboxes.get(place.client) if place else None
        if mailbox is None or place is None or not mailbox.is_at(place):
            place, mailbox = None, await self._mailbox(asked)
        answer = await mailbox.collect(place, wait)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _mailbox(self, asked: Asked) -> Mailbox:
        hello = asked.hello("poll", without=("wait",))
        seat = self._gateway.door.seat(asked.address)
        mailbox = Mailbox(self._gateway, self._protocol, hello, seat, self._forget)
        await mailbox.connect()
        if not mailbox.gone.is_set():  # it was not replaced meanwhile
            self._mailboxes[mailbox.session.client.uuid] = mailbox
        if self._listener is None or not self._listener.is_serving():
            mailbox.leave_node()
        return mailbox

    def _forget(self, mailbox: Mailbox) -> None:
        uuid = mailbox.session.client.uuid
        if self._mailboxes.get(uuid) is mailbox:
            del self._mailboxes[uuid]

    async def _send(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if asked.place is None:
            raise HandshakeRefused(401, "show your session: the id of an event, or next, as the header Gobroke-Session")
        frame = await self._frame(request)
        if isinstance(frame, web.Response):
            frame.force_close()
            return frame
        try:
            frame.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FrameInvalid(f"the frame is not UTF-8: byte {error.start} is wrong") from None
        try:
            outcome = await self._gateway.post(asked.place.client, asked.place.session, frame)
        except ClientDoesNotExist as error:
            text = "you are not connected at this moment: open a stream or poll, then send this again"
            return problem.problem(409, error.code, text)
        if outcome.code:
            return problem.of_outcome(outcome)
        body = msgspec.json.encode({"uuid": outcome.uuid})
        return web.Response(status=202, body=body, content_type="application/json")

    async def _frame(self, request: web.BaseRequest) -> bytes | web.Response:
        """The body; or the answer to one that can't be had."""
        if is_packed(request):
            return problem.problem(415, "unsupported_encoding", "send the frame as it is")
        settings = self._gateway.settings
        try:
            async with asyncio.timeout(settings.handshake_timeout):
                parts = request.content.iter_chunked(_BODY_FRAGMENT)
                frame = await read_whole(parts, settings.max_frame, request.content_length)
        except TimeoutError:
            self._gateway.door.too_late()
            return problem.problem(408, "too_slow", "the frame did not come in time")
        except (web.RequestPayloadError, ConnectionError):  # it breaks the rules of HTTP, or nobody is there any more
            return problem.problem(400, "refused", "the body is not what the request's headers say")
        if frame is None:
            self._gateway.door.drop("too_big")
            return problem.problem(413, "too_big", f"a message may have {settings.max_frame} bytes")
        return frame


async def _answered(doing: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    try:
        return await doing
    except HandshakeRefused as refused:
        return problem.problem(refused.status, "refused", str(refused))
    except BrokeError as error:
        return problem.of_error(error)
    except Exception:
        log.exception("a request could not be answered")
        return _closing(problem.problem(500, BrokeError.code, "the server failed on this request"))


def _wait(asked: Asked, most: float) -> float:
    given = next((value for name, value in asked.facts if name == "wait"), None)
    if given is None:
        return most
    if not (given.isascii() and given.isdigit() and len(given) <= 5):
        raise HandshakeRefused(400, "wait is a number of seconds")
    return min(float(given), most)


def _closing(answer: web.Response) -> web.Response:
    answer.force_close()
    return answer


def _preflight(method: str) -> web.Response:
    allowed: dict[str, Any] = {
        "Access-Control-Allow-Methods": method,
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Gobroke-Session, Last-Event-ID",
        "Access-Control-Max-Age": "600",
    }
    return web.Response(status=204, headers=allowed)
