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
    """Deliver to these clients, or with ``to`` None to all but ``exclude``.

    ``origin`` is the node whose own clients have it already; ``moved`` says that it followed its client here, who has
    had it if it has come back; ``reply_to`` is where the client's answer goes, if it is asked for one.
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


Envelope = Deliver | Close | Closed | Answer | Receipt

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    """One envelope as bytes."""
    return _encoder.encode(envelope)


def decode(data: bytes) -> Envelope:
    """The envelope in ``data``. Raises ``FrameInvalid`` for anything else."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FrameInvalid(f"not an envelope of this version: {error}") from None


def read_delivery(data: bytes) -> Deliver | None:
    """The delivery in ``data``; None for anything else."""
    try:
        envelope = decode(data)
    except FrameInvalid:
        return None
    return envelope if isinstance(envelope, Deliver) else None


def deliver(message: Message, to: list[str], *, moved: bool = False) -> bytes:
    """The bytes that carry ``message`` to these clients of another node."""
    return encode(
        Deliver(
            message.uuid,
            _sender(message),
            message.message_raw,
            message.metadata,
            to,
            moved=moved,
            reply_to=message.reply_to,
        )
    )


def deliver_to_all(message: Message, *, exclude: str | None, origin: str) -> bytes:
    """The bytes that carry ``message`` to the clients of every node but ``origin``."""
    sender = _sender(message)
    return encode(Deliver(message.uuid, sender, message.message_raw, message.metadata, None, exclude, origin=origin))


def _sender(message: Message) -> Sender:
    return Sender(message.from_client.uuid if message.from_client else None, message.from_logic)
