"""One connection as a state machine with a bounded outbox; it moves no bytes.

An endpoint makes a ``Session`` for each connection and does what its methods say; a session never calls the
network. ::

    CONNECTING ──opened()──▶ OPEN ──close()──▶ CLOSING ──closed()──▶ CLOSED
        └──────────────close()────────────────────▲
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol
from uuid import uuid4

from gobroke_dist.client import Client
from gobroke_dist.errors import BrokeError
from gobroke_dist.message import Message

log = logging.getLogger(__name__)


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
    REMOVED = 4500
    ALREADY_CONNECTED = 4501
    REFUSED = 4502


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

    def encode_error(self, error: BrokeError, uuid: str | None) -> bytes | None:
        """The frame that reports an error about the client's message ``uuid``; None: this protocol can't."""
        ...

    def encode_welcome(self, client: Client) -> bytes | None:
        """The first frame after connecting; None: this protocol has none."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """What one client's outbox may hold. A client past either limit is too slow, and is disconnected."""

    frames: int
    bytes: int


class Session:
    """One connection.

    Args:
        client: who is connected.
        protocol: how it speaks.
        limits: bounds of the outbox.
        wake: called when there is something new to ``take()`` or to close; must not block.
    """

    def __init__(self, client: Client, protocol: FrameProtocol, limits: OutboxLimits, wake: Callable[[], None]) -> None:
        self.id = str(uuid4())
        self.client = client
        self.protocol = protocol
        self.state = SessionState.CONNECTING
        self.close_code: CloseCode | None = None
        self.close_reason = ""
        self._limits = limits
        self._wake = wake
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        client.session = self.id

    def opened(self) -> None:
        """The node has registered the client; frames may flow."""
        if self.state is SessionState.CONNECTING:
            self._set(SessionState.OPEN)

    def push(self, frame: bytes) -> bool:
        """Queue a frame; the endpoint's writer is woken. False: it was not taken, because the connection is on
        its way out or the outbox is full, in which case the session now asks to be closed.
        """
        if self.state not in (SessionState.CONNECTING, SessionState.OPEN):
            return False
        full = len(self._outbox) >= self._limits.frames or self._outbox_bytes + len(frame) > self._limits.bytes
        if full and self._outbox:
            self.close(CloseCode.SLOW_CONSUMER, "outbox full")
            return False
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)
        self._wake()
        return True

    def take(self) -> list[bytes]:
        """All queued frames, in order. Write them, then call again; after them, look at ``state``."""
        frames = list(self._outbox)
        self._outbox.clear()
        self._outbox_bytes = 0
        return frames

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Ask for the connection to be closed. The endpoint writes what is queued, then the close, then calls
        ``closed()``. A slow client's queue is dropped: it would not read it. The first call wins.
        """
        if self.state in (SessionState.CLOSING, SessionState.CLOSED):
            return
        self.close_code, self.close_reason = code, reason
        if code is CloseCode.SLOW_CONSUMER:
            self.take()
        self._set(SessionState.CLOSING)
        self._wake()

    def closed(self) -> None:
        """The connection is gone, whoever ended it."""
        if self.state is not SessionState.CLOSED:
            self._outbox.clear()
            self._outbox_bytes = 0
            self._set(SessionState.CLOSED)

    def _set(self, state: SessionState) -> None:
        log.debug("session %s of %s: %s -> %s", self.id, self.client.uuid, self.state, state)
        self.state = state
