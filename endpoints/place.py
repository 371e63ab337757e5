"""Where a client of HTTP is in what it gets: one text, which it shows to go on from there."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from endpoints.hello import HelloRefused

_LONGEST: Final = 600
_DIGITS: Final = 15


class Place(NamedTuple):
    """The id of an event, and the ``next`` of a poll: ``client/session/offset``. It is as secret as the session is.

    Attributes:
        client: who.
        session: the token of its session.
        offset: of the last message that it has seen.
    """

    client: str
    session: str
    offset: int

    @classmethod
    def read(cls, text: str) -> Place:
        """Raises ``HelloRefused``."""
        parts = text.split("/") if len(text) <= _LONGEST and text.isascii() else []
        if len(parts) != 3 or not parts[2].isdigit() or len(parts[2]) > _DIGITS:
            raise HelloRefused("a place is client/session/offset, as it was sent in an event's id or in next")
        return cls(unquote(parts[0], errors="replace"), parts[1], int(parts[2]))

    def __str__(self) -> str:
        return f"{quote(self.client, safe='')}/{self.session}/{self.offset}"
