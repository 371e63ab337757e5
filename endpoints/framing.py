"""Where a frame begins and ends in a stream of bytes. It moves none: bytes in, frames out.

================  ======================================  =============================================
                  ``LengthPrefix``                        ``Lines``
================  ======================================  =============================================
a frame           4 bytes, its length (most significant   the bytes up to ``\\n``; a ``\\r`` before that
                  first), then the frame                  is not part of it
an empty frame    length 0                                an empty line
what is refused   a length beyond the limit               more bytes than the limit without a ``\\n``
================  ======================================  =============================================

An empty frame says nothing but that its sender is there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Protocol

from gobroke_dist.session import CloseCode

_LENGTH_BYTES: Final = 4


class FrameRefused(Exception):
    """The connection must be closed with this code."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class FrameReader(ABC):
    """One stream, fed in any portions. Their borders make no difference to what comes out.

    Args:
        max_size: largest frame, in bytes.
    """

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """How many bytes were fed and are not taken yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what arrived; then call ``next`` until it returns None."""
        self._buffer += data

    @abstractmethod
    def next(self) -> bytes | None:
        """The next frame; None: it is not whole yet, and ``waiting`` is at most a little more than ``max_size``.

        Raises:
            FrameRefused: it is too large. Nothing can be read any more: each further call raises the same.
        """

    def _too_big(self) -> FrameRefused:
        return FrameRefused(CloseCode.TOO_BIG, f"a frame may have {self.max_size} bytes")


class Framing(Protocol):
    """How frames are put into a stream."""

    @property
    def binary(self) -> bool:
        """Whether a frame may hold any bytes. If not, frames are JSON, or other text in which a line's end is only
        white space.
        """
        ...

    def reader(self, max_size: int) -> FrameReader:
        """For one stream."""
        ...

    def pack(self, frame: bytes) -> tuple[bytes, ...]:
        """A frame as it goes into the stream, in parts."""
        ...


class LengthPrefix:
    """Each frame has its length before it: 4 bytes, the most significant first."""

    binary: bool = True

    def reader(self, max_size: int) -> FrameReader:
        return _LengthReader(max_size)

    def pack(self, frame: bytes) -> tuple[bytes, ...]:
        return len(frame).to_bytes(_LENGTH_BYTES, "big"), frame


class Lines:
    """Each frame is a line of text. A line's end inside of one, which in JSON is white space, becomes a space."""

    binary: bool = False

    def reader(self, max_size: int) -> FrameReader:
        return _LineReader(max_size)

    def pack(self, frame: bytes) -> tuple[bytes, ...]:
        return frame.replace(b"\n", b" ") if b"\n" in frame else frame, b"\n"


class _LengthReader(FrameReader):
    def next(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < _LENGTH_BYTES:
            return None
        end = _LENGTH_BYTES + int.from_bytes(buffer[:_LENGTH_BYTES], "big")
        if end > _LENGTH_BYTES + self.max_size:
            raise self._too_big()
        if len(buffer) < end:
            return None
        frame = bytes(buffer[_LENGTH_BYTES:end])
        del buffer[:end]
        return frame


class _LineReader(FrameReader):
    def __init__(self, max_size: int) -> None:
        super().__init__(max_size)
        self._searched = 0  # so many bytes hold no end of a line

    def next(self) -> bytes | None:
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > self.max_size + len(b"\r"):
                raise self._too_big()
            return None
        line = bytes(buffer[:end]).removesuffix(b"\r")
        if len(line) > self.max_size:
            raise self._too_big()
        del buffer[: end + 1]
        self._searched = 0
        return line


def is_text(frame: bytes) -> bool:
    """Whether a frame is UTF-8."""
    if frame.isascii():
        return True
    try:
        frame.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
