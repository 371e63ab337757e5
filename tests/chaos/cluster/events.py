"""What clients note while they are disturbed. Times are of the machine's monotonic clock, in seconds."""

from __future__ import annotations

from msgspec import Struct

ACCEPTED = "accepted"
"""The outcome of a message that its sender was told is on its way. Any other says why nobody knows, in a word."""

EVERYBODY = "*"

DONT_RETURN = 4500
"""From this close code on a client must not come back: ``docs/reference/close-codes.md``."""


class Sent(Struct, array_like=True, tag="sent", frozen=True):
    """A message, when its sender knows what has become of it.

    Attributes:
        sender: who sent it.
        number: its place among all that this sender has sent, from 1.
        to: a client, or ``EVERYBODY``.
        began, ended: from when until when it was being sent. A sender sends one after another.
        outcome: ``accepted``, or why that is not known.
    """

    sender: str
    number: int
    to: str
    began: float
    ended: float
    outcome: str


class Got(Struct, array_like=True, tag="got", frozen=True):
    """A message that has arrived.

    Attributes:
        client: where.
        sender, number: which.
        at: when.
        new: whether its offset is larger than all that the client had.
        late: whether it was being sent before the client connected: it was kept for it.
    """

    client: str
    sender: str
    number: int
    at: float
    new: bool
    late: bool


class Welcomed(Struct, array_like=True, tag="welcomed", frozen=True):
    """A client is connected.

    Attributes:
        client: who.
        at: when.
        back: whether it showed a token.
        recovered: what it was told.
    """

    client: str
    at: float
    back: bool
    recovered: bool


class Ended(Struct, array_like=True, tag="ended", frozen=True):
    """A client's connection, that the client has not given up itself, is over.

    Attributes:
        client: whose.
        at: when.
        code: of the close, or 1006: it broke.
        welcomed: whether it had been greeted.
    """

    client: str
    at: float
    code: int
    welcomed: bool


Event = Sent | Got | Welcomed | Ended
