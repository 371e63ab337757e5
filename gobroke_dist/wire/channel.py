"""What stands before a datum on a pub/sub channel: whether somebody waits for an answer.

One byte, then for a request 32 hexadecimal digits that name where the answer goes.
"""

from __future__ import annotations

from gobroke_dist.errors import FrameInvalid

_PLAIN = b"\x00"
_REQUEST = b"\x01"
_TOKEN = 32


def plain(data: bytes) -> bytes:
    """A datum that nobody answers."""
    return _PLAIN + data


def request(token: str, data: bytes) -> bytes:
    """A datum whose answer goes to ``token`` (32 hexadecimal digits)."""
    return _REQUEST + token.encode("ascii") + data


def unwrap(payload: bytes) -> tuple[bytes, str | None]:
    """The datum, and the token of its answer if one is waited for. Raises ``FrameInvalid``."""
    kind = payload[:1]
    if kind == _PLAIN:
        return payload[1:], None
    if kind == _REQUEST and len(payload) > _TOKEN:
        return payload[1 + _TOKEN :], payload[1 : 1 + _TOKEN].decode("ascii", "replace")
    raise FrameInvalid("not a datum of this version on the channel")
