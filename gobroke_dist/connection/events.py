"""What a connection tells its application, and what it raises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ConnectionState(StrEnum):
    """Where a connection is in its life: CONNECTING and OPEN and WAITING in any order, and CLOSED at the end."""

    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Opened:
    """An edge has let the client in.

    Attributes:
        client: its uuid.
        node: the edge's id.
        recovered: None the first time; later True if all that was sent meanwhile follows, in order, each once; False if
            something is missing, and the present state is to be asked for.
    """

    client: str
    node: str
    recovered: bool | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message. One with ``reply_to`` waits for ``Connection.answer``.

    Attributes:
        frame: the whole frame, see ``docs/reference/frames.md``.
        dialled: which of the connections brought it.
    """

    frame: dict[str, Any]
    dialled: int

    @property
    def data(self) -> Any:
        """The payload; of one that is not JSON, the text or base64 that stands for it."""
        return next((self.frame[name] for name in ("data", "text", "base64") if name in self.frame), None)

    @property
    def reply_to(self) -> str | None:
        """The id of the request that this is."""
        return self.frame.get("reply_to")


@dataclass(frozen=True, slots=True)
class Gap:
    """Here the server has dropped frames, because this client reads too slowly: see ``Connection.come_back``.

    Attributes:
        dropped: how many; messages, and answers to frames of this client.
        offset: the largest before the gap.
        dialled: which of the connections it is in.
    """

    dropped: int
    offset: int
    dialled: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone, and another one is tried in ``retry_in`` seconds. ``code`` is None if nobody said why."""

    code: int | None
    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was only sent, so that nobody waits for what becomes of it, was not accepted."""

    code: str
    text: str
    uuid: str | None
    field: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is gone for good: closed here (1000), or with a code that says not to come back."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message: ``accepted``, ``done``, or ``dead`` with a word for the reason."""

    uuid: str
    state: str
    reason: str | None = None


Event = Opened | Received | Gap | Lost | Refused | Ended


class ConnectionFailure(Exception):
    """Whatever a connection raises; nothing else of it reaches the application."""


class ConnectionEnded(ConnectionFailure):
    """The connection is gone for good."""


class ConnectionLost(ConnectionFailure):
    """The connection broke after the request was sent: it may have been handled, and no answer will come."""


class BufferFull(ConnectionFailure):
    """So much waits for a connection that no more is taken. Nothing that waits is thrown away for it."""


class TimedOut(ConnectionFailure):
    """No answer or receipt came in time. ``accepted`` tells that the message is in Redis all the same."""

    def __init__(self, uuid: str, *, accepted: bool) -> None:
        super().__init__(f"nothing came for {uuid} in time" + (", though it was accepted" if accepted else ""))
        self.uuid = uuid
        self.accepted = accepted


class MessageRefused(ConnectionFailure):
    """The server did not accept a message. ``code`` is one of ``docs/reference/errors.md``."""

    def __init__(self, code: str, text: str, field: str | None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.field = field
