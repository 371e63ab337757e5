"""How a message reaches an endpoint that wants messages rather than bytes: unencoded, inside a frame."""

from __future__ import annotations

from gobroke_dist.client import Client
from gobroke_dist.errors import BrokeError
from gobroke_dist.message import Message
from gobroke_dist.request import Receipt


class Parcel(bytes):
    """A frame whose bytes are the payload, so that an outbox weighs it, and which carries what it was made from.

    Attributes:
        message: the message, shared by all who get it; of an error, its text from nobody.
        error: what went wrong with the client's message ``message.uuid``; None: this is no error.
    """

    message: Message
    error: BrokeError | None

    @classmethod
    def of(cls, message: Message, error: BrokeError | None = None) -> Parcel:
        """A parcel with this message."""
        made = cls(message.message_raw)
        made.message = message
        made.error = error
        return made

    def addressed(self, client: Client) -> Message:
        """A copy of the message for one recipient."""
        message = self.message.copy()
        message.to_client = (client,)
        return message


class ParcelProtocol:
    """Frames are parcels. There is no welcome: the endpoint itself knows whom it has registered."""

    name: str = "parcel"
    binary: bool = True

    def decode(self, frame: bytes, client: Client) -> Message:
        return Message(from_client=client, message_raw=frame)

    def encode(self, message: Message) -> bytes:
        return Parcel.of(message)

    def encode_reply(self, answer: Message) -> bytes:
        return Parcel.of(answer)

    def encode_receipt(self, receipt: Receipt) -> bytes:
        facts = {"receipt": receipt.state, "logic": receipt.logic}
        if receipt.reason:
            facts["reason"] = receipt.reason
        return Parcel.of(Message(metadata=facts, uuid=receipt.uuid))

    def encode_error(self, error: BrokeError, uuid: str | None) -> bytes:
        field = getattr(error, "field", None)
        facts = {"error": error.code} if field is None else {"error": error.code, "field": field}
        return Parcel.of(Message(message_raw=str(error), metadata=facts, uuid=uuid), error)

    def encode_welcome(self, client: Client) -> None:
        return None


def parcels(frames: list[bytes]) -> list[Parcel]:
    """Frames of ``ParcelProtocol``, as what they are."""
    return [frame for frame in frames if isinstance(frame, Parcel)]
