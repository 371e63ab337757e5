"""Payloads that say when they were sent, written and found without parsing what is around them."""

from __future__ import annotations

from tests.bench.cluster.load.frames import masked

PAYLOAD = 100
"""Bytes in a message."""

_MARK, _DIGITS = b"@", 20
_BLANK = b"@%b@" % (b"0" * _DIGITS)
TEXT = _BLANK.decode().ljust(PAYLOAD, "x")
"""A payload before it is stamped. No dialect writes its characters in another way."""


class Stamped:
    """One message of one client, ready but for the time.

    Args:
        frame: what the client sends, with ``TEXT`` in it.
    """

    __slots__ = ("_head", "_tail")

    def __init__(self, frame: bytes) -> None:
        self._head, _, self._tail = masked(frame).partition(_BLANK)

    def at(self, now: int) -> bytes:
        """The bytes for the wire. ``now``: of the monotonic clock, in nanoseconds."""
        return b"%b@%020d@%b" % (self._head, now, self._tail)


def read(frame: bytes) -> int | None:
    """When a frame that arrived was sent; None: it is no message."""
    start = frame.find(_MARK) + 1
    end = start + _DIGITS
    return int(frame[start:end]) if start and frame[end : end + 1] == _MARK else None
