"""One connection as a state machine with a bounded outbox; it moves no bytes.

An endpoint makes a ``Session`` for each connection and does what its methods say; a session never calls the
network. ::

    CONNECTING ──opened()──▶ OPEN ──close()──▶ CLOSING ──closed()──▶ CLOSED
        └──────────────close()────────────────────▲

``closed()`` may come in any state: a connection can always break.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal, Protocol, runtime_checkable
from uuid import uuid4

from gobroke_dist.client import Client
from gobroke_dist.errors import BrokeError, QueueFull
from gobroke_dist.identity import ConnectRequest, Identity
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.request import Receipt

log = logging.getLogger(__name__)


SlowConsumers = Literal["disconnect", "drop_oldest", "drop_newest"]
"""What becomes of a client whose outbox is full: it is closed with ``SLOW_CONSUMER``, or loses some of its frames."""


MAX_ASKED = 1000
"""How many requests a client may leave unanswered; of more, it can answer the latest only."""


MAX_ASKING = 100
"""How many of a client's own requests may be open."""


class SessionState(StrEnum):
    """Where a connection is in its life."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class CloseCode(IntEnum):
    """Why a connection was closed. 4000 to 4499: connect again; 4500 to 4999: don't, it would end the same way.

    Codes below 4000 are RFC 6455's (section 7.4.1).
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    PING_TIMEOUT = 4000
    SLOW_CONSUMER = 4001
    UNAVAILABLE = 4002
    RECOVERY_LOST = 4003
    TOKEN_EXPIRED = 4004
    TOO_FAST = 4005
    TOO_MANY = 4006
    IDLE = 4007
    REMOVED = 4500
    ALREADY_CONNECTED = 4501
    REFUSED = 4502
    REPLACED = 4503
    UNAUTHORISED = 4504
    REVOKED = 4505


class FrameProtocol(Protocol):
    """How one kind of client speaks: frames to messages and back. Stateless, so a frame is encoded once for all."""

    @property
    def name(self) -> str:
        """Short and unique: frames are cached under it."""
        ...

    @property
    def binary(self) -> bool:
        """Whether frames are bytes rather than UTF-8 text."""
        ...

    def decode(self, frame: bytes, client: Client) -> Message:
        """The message that a frame holds. Raises ``FrameInvalid``."""
        ...

    def encode(self, message: Message) -> bytes:
        """The frame that carries a message to a client."""
        ...

    def encode_reply(self, answer: Message) -> bytes | None:
        """The frame that carries the answer to the client's message ``answer.uuid``; None: this protocol can't."""
        ...

    def encode_receipt(self, receipt: Receipt) -> bytes | None:
        """The frame that tells what has become of a message of the client; None: this protocol can't."""
        ...

    def encode_error(self, error: BrokeError, uuid: str | None) -> bytes | None:
        """The frame that reports an error about the client's message ``uuid``; None: this protocol can't."""
        ...

    def encode_welcome(self, client: Client) -> bytes | None:
        """The first frame after connecting; None: this protocol has none."""
        ...


@runtime_checkable
class NumberedProtocol(FrameProtocol, Protocol):
    """A protocol in which frames say their place, so that a client can come back and get what it missed."""

    def encode_numbered(self, message: Message, number: int) -> bytes:
        """The frame that carries a message, and its number."""
        ...

    def encode_session(self, client: Client, *, token: str, number: int, recovered: bool) -> bytes:
        """The first frame after connecting, for a client that may come back.

        Args:
            client: who it is.
            token: what it is to show then; nobody else knows it.
            number: what it is to show, too, or the last one that it has seen since.
            recovered: whether all that was sent to it since it was here last follows.
        """
        ...


@runtime_checkable
class RefreshingProtocol(FrameProtocol, Protocol):
    """A protocol in which a client can show a newer token while it is connected."""

    def encode_refreshed(self, expires_at: float | None, uuid: str | None) -> bytes:
        """The frame that says that a token was taken.

        Args:
            expires_at: until when it is good, in Unix seconds; None: it does not run out.
            uuid: of the client's frame.
        """
        ...


@runtime_checkable
class ClosingProtocol(FrameProtocol, Protocol):
    """A protocol that can say goodbye in a frame, over a transport that has no words for it, as TCP has none."""

    def encode_closed(self, code: int, reason: str, retry_after: int | None = None) -> bytes:
        """The last frame of a connection that the node closes.

        Args:
            code: a close code.
            reason: for people.
            retry_after: in how many milliseconds the client is to come back; None: when it likes.
        """
        ...

    def decode_close(self, frame: bytes) -> int | None:
        """With which code a client's frame ends its connection: 1000, or 1001 for one that comes back; None: it is
        another frame, and may be a bad one.
        """
        ...


@runtime_checkable
class GapProtocol(FrameProtocol, Protocol):
    """A protocol that can say that something is missing."""

    def encode_gap(self, dropped: int) -> bytes:
        """The frame that stands where so many frames were dropped."""
        ...


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a client asks for when it connects: to be let back later, or now.

    Attributes:
        token: what it was given; empty: it has none.
        number: the last one that it has seen.
    """

    token: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """What one client's outbox may hold, and what becomes of a client past either limit, which is too slow.

    An empty outbox takes one frame of any size, so that a large one is late rather than impossible.
    """

    frames: int
    bytes: int
    when_full: SlowConsumers = "disconnect"


class Session:
    """One connection.

    Args:
        client: who is connected.
        protocol: how it speaks.
        limits: bounds of the outbox.
        wake: called when there is something new to ``take()`` or to close; must not block.
        recovery: None: this client will not come back, and gets frames without numbers.

    Attributes:
        secret: with which the client may come back.
        epoch: of the numbers of its frames.
        asking: the ids of the client's own requests that are open.
        request: what the client asked for when it came; None: its endpoint does not tell.
        identity: who it is, as the authenticator says; None: there is none, or it was not asked yet.
        quiet: how often somebody looked since anything was sent or received.
        retry_after: in how many milliseconds a client that is sent away is to come back; None: when it likes.
        on_drop: told of frames that a full outbox has lost: the reason, and how many.
    """

    def __init__(
        self,
        client: Client,
        protocol: FrameProtocol,
        limits: OutboxLimits,
        wake: Callable[[], None],
        recovery: Recovery | None = None,
    ) -> None:
        self.id = str(uuid4())
        self.client = client
        self.protocol = protocol
        self.state = SessionState.CONNECTING
        self.close_code: CloseCode | None = None
        self.close_reason = ""
        self.retry_after: int | None = None
        self.on_drop: Callable[[str, int], None] | None = None
        self.asking: set[str] = set()
        self.request: ConnectRequest | None = None
        self.identity: Identity | None = None
        self.quiet = 0
        self._limits = limits
        self._wake = wake
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._when_full: SlowConsumers = limits.when_full
        if isinstance(protocol, NumberedProtocol) and not isinstance(protocol, GapProtocol) and recovery is not None:
            self._when_full = "disconnect"  # its client could not know that something is missing
        self._untold = 0  # frames that were dropped, and that the client does not know of
        self.recovery = recovery
        self.secret = b""
        self.epoch = ""
        self._begun: int | None = None  # the number that the client's welcome names
        self._early: list[tuple[int, bytes]] = []
        self._backlog = self._backlog_bytes = 0  # of what the client missed, and that its outbox is not full of
        self._asked: dict[str, ReplyTo] = {}
        client.session = self.id

    @property
    def pending(self) -> int:
        """How many frames wait to be taken."""
        return len(self._outbox)

    @property
    def token(self) -> str:
        """What the client shows when it comes back; of one that does not, nothing that anybody has."""
        return f"{self.secret.decode()}.{self.epoch}"

    @property
    def ending(self) -> bool:
        """Whether the connection is on its way out, or gone: nothing that arrives on it counts any more."""
        return self.state in (SessionState.CLOSING, SessionState.CLOSED)

    @property
    def ended_for_good(self) -> bool:
        """Whether the client has said goodbye, or was sent away and not to come back (code 4500 and above)."""
        return self.close_code is not None and (
            self.close_code is CloseCode.NORMAL or self.close_code >= CloseCode.REMOVED
        )

    def opened(self) -> None:
        """The node has registered the client; frames may flow.

        Without effect on a connection that ended meanwhile. Raises ``RuntimeError`` when it is open already.
        """
        if self.state is SessionState.OPEN:
            raise RuntimeError(f"opened() needs a session that is connecting; session {self.id} is open already")
        if self.state is SessionState.CONNECTING:
            self._set(SessionState.OPEN)
            if self._when_full != "disconnect":
                self._backlog, self._backlog_bytes = len(self._outbox), self._outbox_bytes  # its welcome is one of them
            if self._outbox:
                self._wake()

    def push(self, frame: bytes) -> bool:
        """Queue a frame; the endpoint's writer is woken. False: it was not taken, because the connection is on
        its way out, or the outbox is full; then the session now asks to be closed, unless it drops the newest.

        While the session is connecting, frames are kept back: a client that is refused gets none.
        """
        if self.ending:
            return False
        if self._full(frame) and not self._made_room(frame):
            return False
        self.quiet = 0
        if self._untold and self._when_full == "drop_newest":
            self._append(*self._gap())
        self._append(frame)
        if self.state is SessionState.OPEN:
            self._wake()
        return True

    def push_numbered(self, number: int, frame: bytes) -> bool:
        """As ``push``, for what has a place in the order of all.

        Of a client that may come back it waits for ``begin``: it may be a repetition.
        """
        if self.recovery is None:
            return self.push(frame)
        if self._begun is not None:
            return number <= self._begun or self.push(frame)
        if self.ending:
            return False
        if len(self._early) >= self._limits.frames:
            self.close(CloseCode.SLOW_CONSUMER, f"{len(self._early)} frames came while the client was connecting")
            return False
        self._early.append((number, frame))
        return True

    def begin(self, number: int, frames: Iterable[bytes]) -> None:
        """What the client gets first: its welcome, and all that it missed up to a number. What is beyond follows."""
        if self.ending:
            return
        self._begun = number
        self._append(*frames)
        self._backlog, self._backlog_bytes = len(self._outbox), self._outbox_bytes
        early, self._early = self._early, []
        for place, frame in early:
            self.push_numbered(place, frame)

    def take(self, budget: int | None = None) -> list[bytes]:
        """Queued frames, in order; write them, then call again. After the last one, look at ``state``.

        Args:
            budget: stop when the frames have this many bytes or more; 0 takes one frame, None all.
        """
        if self.state is SessionState.CONNECTING:
            return []
        first = self._gap() if self._when_full == "drop_oldest" else []
        if budget is None:
            frames = [*first, *self._outbox, *self._gap()]
            self._drop()
            return frames
        frames, taken = [], 0
        while self._outbox and (not frames or taken < budget):
            frame = self._outbox.popleft()
            taken += len(frame)
            frames.append(frame)
        self._outbox_bytes -= taken
        if self._backlog:
            self._backlog = max(0, self._backlog - len(frames))
            self._backlog_bytes = max(0, self._backlog_bytes - taken) if self._backlog else 0
        if not self._outbox:
            frames.extend(self._gap())
        return first + frames

    def close(self, code: CloseCode, reason: str = "", *, retry_after: int | None = None) -> None:
        """Ask for the connection to be closed. The endpoint writes what is queued, then the close, then calls
        ``closed()``. A slow client's queue is dropped: it would not read it. The first call wins.
        """
        if self.ending:
            return
        self.close_code, self.close_reason, self.retry_after = code, reason, retry_after
        if code is CloseCode.SLOW_CONSUMER or self.state is SessionState.CONNECTING:
            self._drop()
        self._set(SessionState.CLOSING)
        self._wake()

    def closed(self) -> None:
        """The connection is gone, whoever ended it."""
        if self.state is not SessionState.CLOSED:
            self._drop()
            self._set(SessionState.CLOSED)

    def require_room(self) -> None:
        """The client wants to ask. Raises ``QueueFull``."""
        if len(self.asking) >= MAX_ASKING:
            raise QueueFull(f"the table of open requests of client {self.client.uuid!r}", MAX_ASKING)

    def ask(self, to: ReplyTo) -> None:
        """The client has been sent a request, and may answer it."""
        self._asked[to.id] = to
        if len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]

    def asked(self, request: str) -> ReplyTo | None:
        """Where the client's answer to this request goes; None: it was not asked, or has answered."""
        return self._asked.get(request)

    def answered(self, to: ReplyTo) -> None:
        """The client has answered this request; it can't again."""
        self._asked.pop(to.id, None)

    def _full(self, frame: bytes) -> bool:
        waiting, size = len(self._outbox) - self._backlog, self._outbox_bytes - self._backlog_bytes
        return waiting >= self._limits.frames or (waiting > 0 and size + len(frame) > self._limits.bytes)

    def _made_room(self, frame: bytes) -> bool:
        """Whether a full outbox can take this frame now. What a client gets first is never dropped."""
        if self._when_full == "disconnect" or self._backlog or self.state is SessionState.CONNECTING:
            self.close(CloseCode.SLOW_CONSUMER, f"{self.pending} frames ({self._outbox_bytes} bytes) wait unread")
            return False
        if self._when_full == "drop_newest":
            self._dropped("dropped_newest", 1)
            return False
        before = len(self._outbox)
        while self._full(frame):
            self._outbox_bytes -= len(self._outbox.popleft())
        self._dropped("dropped_oldest", before - len(self._outbox))
        return True

    def _dropped(self, reason: str, frames: int) -> None:
        self._untold += frames
        if self.on_drop is not None:
            self.on_drop(reason, frames)

    def _gap(self) -> list[bytes]:
        """What tells the client of frames that were dropped, in their place; nothing, if none were."""
        dropped, self._untold = self._untold, 0
        return [self.protocol.encode_gap(dropped)] if dropped and isinstance(self.protocol, GapProtocol) else []

    def _append(self, *frames: bytes) -> None:
        self._outbox.extend(frames)
        self._outbox_bytes += sum(map(len, frames))

    def _drop(self) -> None:
        self._untold = 0
        self._early.clear()
        self._outbox.clear()
        self._outbox_bytes = self._backlog = self._backlog_bytes = 0

    def _set(self, state: SessionState) -> None:
        log.debug("session %s of %s: %s -> %s", self.id, self.client.uuid, self.state, state)
        self.state = state
