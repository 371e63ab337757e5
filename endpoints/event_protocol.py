"""The JSON envelope with each frame's offset in front of it, so that nobody has to look into the frame to find it."""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

from gobroke_dist.client import Client
from gobroke_dist.errors import BrokeError
from gobroke_dist.message import Message
from gobroke_dist.request import Receipt
from gobroke_dist.session import Session
from gobroke_dist.wire.frame import JSONProtocol

_SOONEST: Final = 1000
_SPREAD: Final = 4000


class Event(NamedTuple):
    """One frame.

    Attributes:
        offset: its place; None: it has none.
        frame: JSON.
    """

    offset: int | None
    frame: bytes

    @classmethod
    def read(cls, packed: bytes) -> Event:
        """From what ``EventProtocol`` made."""
        offset, _, frame = packed.partition(b"\n")
        return cls(int(offset) if offset else None, frame)


class EventProtocol:
    """Frames to clients are ``offset``, a line end, and the frame of ``JSONProtocol``."""

    name: str = "json-events"
    binary: bool = False

    def __init__(self) -> None:
        self._json = JSONProtocol()

    def decode(self, frame: bytes, client: Client) -> Message:
        return self._json.decode(frame, client)

    def encode(self, message: Message) -> bytes:
        return _packed(self._json.encode(message))

    def encode_numbered(self, message: Message, number: int) -> bytes:
        """As ``encode``, with the message's place."""
        return _packed(self._json.encode_numbered(message, number), number)

    def encode_session(self, client: Client, *, token: str, number: int, recovered: bool) -> bytes:
        return _packed(self._json.encode_session(client, token=token, number=number, recovered=recovered), number)

    def encode_reply(self, answer: Message) -> bytes:
        return _packed(self._json.encode_reply(answer))

    def encode_refreshed(self, expires_at: float | None, uuid: str | None) -> bytes:
        return _packed(self._json.encode_refreshed(expires_at, uuid))

    def encode_receipt(self, receipt: Receipt) -> bytes:
        return _packed(self._json.encode_receipt(receipt))

    def encode_error(self, error: BrokeError, uuid: str | None) -> bytes:
        return _packed(self._json.encode_error(error, uuid))

    def encode_welcome(self, client: Client) -> bytes:
        return _packed(self._json.encode_welcome(client))

    def encode_gap(self, dropped: int) -> bytes:
        return _packed(self._json.encode_gap(dropped))

    def encode_closed(self, code: int, reason: str, retry_after: int | None = None) -> bytes:
        return _packed(self._json.encode_closed(code, reason, retry_after))

    def decode_close(self, frame: bytes) -> int | None:
        return self._json.decode_close(frame)


def retry_after(session: Session) -> int | None:
    """In how many milliseconds the client of a session that ends is to come back; None: not by itself.

    Where the node has nothing to say about it, it is random: all that met the same misfortune are not to come at once.
    """
    if session.retry_after is not None:
        return session.retry_after
    return None if session.ended_for_good else soon()


def soon() -> int:
    """Some milliseconds after which it is worth another try."""
    return _SOONEST + secrets.randbelow(_SPREAD)


def _packed(frame: bytes, number: int | None = None) -> bytes:
    return b"%b\n%b" % (b"" if number is None else b"%d" % number, frame)
