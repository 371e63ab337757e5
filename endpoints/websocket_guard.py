"""What a WebSocket client's frame headers must obey, checked before the parser sees them.

aiohttp's parser accepts unmasked frames, a new message inside a fragmented one that began empty, and fragments
without end. This scanner reads headers and skips payloads, so its cost does not grow with a frame's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gobroke_dist.session import CloseCode

MAX_FRAGMENTS: Final = 1024
"""How many frames one message may come in."""

_CONTINUATION: Final = 0x0
_CLOSE: Final = 0x8
_MASK_BYTES: Final = 4
_LENGTH_BYTES: Final = {126: 2, 127: 8}
_SHORTEST: Final = {4: 126, 10: 1 << 16}
"""The least length of a payload, by the header's."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the connection must be closed."""

    code: CloseCode
    reason: str


class FrameGuard:
    """One connection's headers, fed in any portions. It goes on after a refusal, to find the peer's close frame.

    Args:
        max_size: largest message, in bytes.

    Attributes:
        refusal: the first thing that was wrong.
        closed: the peer's close frame came; what follows it does not count.
    """

    def __init__(self, max_size: int) -> None:
        self.refusal: Refusal | None = None
        self.closed = False
        self._max_size = max_size
        self._head = b""
        self._skip = 0
        self._fragments = 0
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Scan what arrived."""
        at, end = 0, len(data)
        while at < end and not self.closed:
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
                continue
            part = data[at : at + _needed(self._head)]
            self._head += part
            at += len(part)
            if _needed(self._head) == 0:
                refusal = self._header(self._head)
                self.refusal = self.refusal or refusal
                self._head = b""

    def _header(self, head: bytes) -> Refusal | None:
        masked = bool(head[1] & 0x80)
        length = head[1] & 0x7F
        length = int.from_bytes(head[2:], "big") if length > 125 else length
        padded = length < _SHORTEST.get(len(head), 0)
        self._skip = length + (_MASK_BYTES if masked else 0)
        opcode = head[0] & 0xF
        self.closed = opcode == _CLOSE
        if not masked:  # RFC 6455, section 5.1: a server must close on a frame that is not masked
            return Refusal(CloseCode.PROTOCOL_ERROR, "a client must mask its frames")
        if padded:  # section 5.2: the minimal number of bytes must be used to encode the length
            return Refusal(CloseCode.PROTOCOL_ERROR, "a length that is longer than it must be")
        return None if opcode >= _CLOSE else self._fragment(opcode, length, final=bool(head[0] & 0x80))

    def _fragment(self, opcode: int, length: int, *, final: bool) -> Refusal | None:
        # RFC 6455, section 5.4: the fragments of one message must not be interleaved with another's
        if (opcode == _CONTINUATION) != (self._fragments > 0):
            return Refusal(CloseCode.PROTOCOL_ERROR, "a continuation frame out of place, or none in its place")
        size = self._size + length
        self._fragments, self._size = (0, 0) if final else (self._fragments + 1, size)
        if size > self._max_size:
            return Refusal(CloseCode.TOO_BIG, f"a message may have {self._max_size} bytes")
        if self._fragments > MAX_FRAGMENTS:
            return Refusal(CloseCode.TOO_BIG, f"a message may have {MAX_FRAGMENTS} fragments")
        return None


def _needed(head: bytes) -> int:
    """How many bytes this header still lacks; the mask is skipped with the payload."""
    if len(head) < 2:
        return 2 - len(head)
    return 2 + _LENGTH_BYTES.get(head[1] & 0x7F, 0) - len(head)
