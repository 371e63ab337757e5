"""What clients say of requests, and what a request must be (contract C11)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from gobroke_dist.client import Client
from gobroke_dist.errors import RequestInvalid
from gobroke_dist.message import Message

ReceiptState = Literal["accepted", "done", "dead"]
"""It is in Redis; its handler has returned and all that it sent is visible; it is a dead letter."""


class Receipt(NamedTuple):
    """What has become of a client's message at one WORKER logic.

    Attributes:
        uuid: the message's.
        logic: the logic's name.
        state: ``accepted``, ``done`` or ``dead``.
        reason: why it is dead, in a word.
    """

    uuid: str
    logic: str
    state: ReceiptState
    reason: str = ""


class Outcome(NamedTuple):
    """What became of a frame that a client has sent outside of its connection.

    Attributes:
        uuid: of its message; None: it is not known.
        code: of the error; empty: it was taken.
        text: of the error.
        field: that is wrong, if one is.
        retry_after: seconds after which it is worth another try, if that is known.
    """

    uuid: str | None
    code: str = ""
    text: str = ""
    field: str | None = None
    retry_after: float = 0.0


class ClientRequest(Message):
    """A client's message that asks a logic for an answer.

    Attributes:
        timeout: seconds in which the answer must come.
    """

    __slots__ = ("timeout",)

    def __init__(self, *, timeout: float, **fields: Any) -> None:
        super().__init__(**fields)
        self.timeout = timeout


class ClientReply(Message):
    """A client's answer.

    Attributes:
        request: the id of the request, as the client was told it.
    """

    __slots__ = ("request",)

    def __init__(self, *, request: str, **fields: Any) -> None:
        super().__init__(**fields)
        self.request = request


class ClientToken(Message):
    """A newer token of a client that is connected. It goes to nobody.

    Attributes:
        token: what the client shows.
        names: the uuid that the client gave to this frame, if it did.
    """

    __slots__ = ("names", "token")

    def __init__(self, *, token: str, names: str | None = None, **fields: Any) -> None:
        super().__init__(uuid=names, **fields)
        self.token = token
        self.names = names


def addressed(message: Message) -> Message:
    """A request with its one recipient. A client is looked up: one that has left must not be waited for.

    Raises:
        RequestInvalid: it names none, or several.
    """
    named = len(message.to_logic) + len(message.to_client)
    if message.to_all or message.to_group or named != 1:
        what = "everybody" if message.to_all else "groups" if message.to_group else f"{named} recipients"
        raise RequestInvalid(message.uuid, f"request {message.uuid!r} names {what}; ask one logic or one client")
    if not message.to_client:
        return message
    bare = message.copy()
    bare.to_client = (Client(uuid=message.to_client[0].uuid),)
    return bare


def body(data: Any) -> bytes:
    """The payload of an answer: bytes as they are, anything else as JSON. Raises ``TypeError`` where it is not."""
    return data if isinstance(data, bytes) else msgspec.json.encode(data)
