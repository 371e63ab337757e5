"""With which code a connection is closed that can't be."""

from __future__ import annotations

from typing import Final

from gobroke_dist.errors import BrokeError, ClientAlreadyExists, Revoked, TooManyConnections, Unauthorised, Unavailable
from gobroke_dist.session import CloseCode

_CODES: Final[tuple[tuple[type[BrokeError], CloseCode], ...]] = (
    (ClientAlreadyExists, CloseCode.ALREADY_CONNECTED),
    (Revoked, CloseCode.REVOKED),
    (Unauthorised, CloseCode.UNAUTHORISED),
    (TooManyConnections, CloseCode.TOO_MANY),
    (Unavailable, CloseCode.UNAVAILABLE),
)


def code_of(error: BrokeError) -> CloseCode:
    """The close code that says what this error says."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), CloseCode.REFUSED)
