"""What crosses from node to node: MessagePack, decoded into typed structs, never into code.

An envelope names clients and nothing else; a node that gets one can deliver or close, and can't route.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gobroke_dist.client import Client
from gobroke_dist.errors import FrameInvalid
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.request import ReceiptState


class Sender(msgspec.Struct, array_like=True, frozen=True):
    """Who sent a message, as far as its receivers may know."""

    client: str | None
    logic: str | None


class Deliver(msgspec.Struct, tag="d", array_like=True, frozen=True):
    """Deliver to these clients and to those in any of ``groups`` but ``exclude``; with ``to`` None, to all but that.

    ``origin`` is the node whose own clients have it already, but for those in ``to``; ``moved`` says that it followed
    its client here, who has had it if it has come back; ``reply_to`` is where the client's answer goes, if it is asked
    for one.
    """

    uuid: str
    sender: Sender
    raw: bytes
    metadata: dict[str, Any]
    to: list[str] | None
    exclude: str | None = None
    moved: bool = False
    origin: str = ""
    reply_to: ReplyTo | None = None
    groups: tuple[str, ...] = ()

    def message(self) -> Message:
        """The message to hand to the local sessions."""
        message = Message(
            uuid=self.uuid,
            from_client=Client(uuid=self.sender.client) if self.sender.client else None,
            from_logic=self.sender.logic,
            message_raw=self.raw,
            metadata=self.metadata,
        )
        message.reply_to = self.reply_to
        return message


class Close(msgspec.Struct, tag="c", array_like=True, frozen=True):
    """Close this session's connection, and answer when it is closed."""

    client: str
    session: str
    code: int
    reason: str


class Closed(msgspec.Struct, tag="k", array_like=True, frozen=True):
    """The answer to ``Close``: whether this node had the session, and has closed it."""

    done: bool


class Answer(msgspec.Struct, tag="a", array_like=True, frozen=True):
    """The answer to a request of this node. With ``failure``, a word that says why, there is none to come."""

    request: str
    sender: Sender
    raw: bytes
    failure: str = ""


class Receipt(msgspec.Struct, tag="r", array_like=True, frozen=True):
    """What has become of a message of this client; ``moved`` as of ``Deliver``."""

    client: str
    uuid: str
    logic: str
    state: ReceiptState
    reason: str = ""
    moved: bool = False


class Membership(msgspec.Struct, tag="g", array_like=True, frozen=True):
    """From now on this session of a client of yours is in a group, or is not. ``token`` is for who waits for it."""

    client: str
    session: str
    group: str
    joined: bool
    token: str


class Rejoined(msgspec.Struct, frozen=True):
    """A client of yours has come back with this session, and is in these groups. Redis writes it itself, in JSON."""

    client: str
    session: str
    groups: tuple[str, ...]


class Posted(msgspec.Struct, tag="p", array_like=True, frozen=True):
    """A client of yours has sent this frame by way of another node, and shown this token."""

    client: str
    token: str
    frame: bytes


class Taken(msgspec.Struct, tag="t", array_like=True, frozen=True):
    """The answer to ``Posted``: the fields of an ``Outcome``."""

    uuid: str | None
    code: str
    text: str
    field: str | None
    retry_after: float


class Echo(msgspec.Struct, tag="e", array_like=True, frozen=True):
    """From a node to itself: all that was published to it before has arrived."""

    token: str


Packed = Deliver | Close | Closed | Answer | Receipt | Membership | Posted | Taken | Echo
Envelope = Packed | Rejoined

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Packed] = msgspec.msgpack.Decoder(Packed)
_json_decoder = msgspec.json.Decoder(Rejoined)


def encode(envelope: Envelope) -> bytes:
    """One envelope as bytes."""
    return msgspec.json.encode(envelope) if isinstance(envelope, Rejoined) else _encoder.encode(envelope)


def decode(data: bytes) -> Envelope:
    """The envelope in ``data``. Raises ``FrameInvalid`` for anything else."""
    try:
        return _json_decoder.decode(data) if data[:1] == b"{" else _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FrameInvalid(f"not an envelope of this version: {error}") from None


def deliver(
    message: Message,
    to: list[str],
    *,
    groups: tuple[str, ...] = (),
    exclude: str | None = None,
    moved: bool = False,
    origin: str = "",
) -> bytes:
    """The bytes that carry ``message`` to these clients, and to the members of these groups."""
    return encode(
        Deliver(
            message.uuid,
            _sender(message),
            message.message_raw,
            message.metadata,
            to,
            exclude,
            moved,
            origin,
            message.reply_to,
            groups,
        )
    )


def deliver_to_all(message: Message, *, exclude: str | None, origin: str) -> bytes:
    """The bytes that carry ``message`` to the clients of every node but ``origin``."""
    sender = _sender(message)
    return encode(Deliver(message.uuid, sender, message.message_raw, message.metadata, None, exclude, origin=origin))


def _sender(message: Message) -> Sender:
    return Sender(message.from_client.uuid if message.from_client else None, message.from_logic)
