"""What crosses between a client and an edge: the JSON envelope, or whatever the application likes.

``JSONProtocol``, client to server: one JSON object in each frame. ::

    {"to_logic": "chat" | ["a", "b"],         at least one recipient, of any kind; at most 1,000 of each
     "to_client": "uuid" | ["uuid", ...],
     "to_group": "room" | ["a", "b"],         groups that the client is in, where the setting client_groups allows it
     "data": <any JSON>,                      the payload: exactly these bytes become message_raw
     "uuid": "id",                            optional: the message's id, so that sending it again is safe
     "metadata": {...},                       optional
     "ask": 5,                                optional: seconds to wait for an answer, at most 3,600; of one logic alone
     "receipt": true}                         optional: tell what becomes of it at WORKER logics

    {"reply": "id", "data": <any JSON>,       the answer to the request of this id, in place of recipients
     "uuid": "id"}                            optional: names this frame in an error

    {"token": "...",                          a newer token of this client, in place of all else
     "uuid": "id"}                            optional: names this frame in what answers it

Any other field is refused, and so is a field given twice. Inside ``data`` nothing is looked at but its syntax: a
logic that cares for duplicate keys there declares a ``payload`` model.

Server to client, told apart by ``type``::

    {"type": "welcome", "client": "uuid", "node": "id"}
    {"type": "message", "uuid": "id", "data": <any JSON>, "from_client": "uuid", "from_logic": "name", "metadata": {},
     "reply_to": "id of the request that this is"}
    {"type": "reply", "uuid": "id of the message that asked", "data": <any JSON>}
    {"type": "refreshed", "expires_at": Unix seconds, "uuid": "id of the frame with the token"}
    {"type": "receipt", "uuid": "id of the message", "logic": "name", "state": "accepted" | "done" | "dead",
     "reason": "why it is dead"}
    {"type": "error", "code": "word", "text": "what was wrong", "uuid": "id of the message", "field": "to_logic[1]"}

To a client that may come back (``?recover`` in its address) the welcome says more, and messages have an offset::

    {"type": "welcome", "client": "uuid", "node": "id", "session": "token", "offset": 7, "recovered": false}
    {"type": "message", "uuid": "id", "data": <any JSON>, "offset": 8}

When its connection is lost, it connects to any node with ``?client=uuid&session=token&offset=8``, the last that it has
seen. ``recovered`` true: all that was sent to it meanwhile follows, in order, each once; false: some of it is lost, and
it is a new session. A client that drops what has no larger offset than the last never sees anything twice.

Over a transport that has no words for the end of a connection, such as TCP, it is said in frames::

    {"close": 1000}                                                      client to server; 1001: it comes back
    {"type": "closed", "code": 4001, "reason": "why"}                    server to client, the last one

A field that has nothing to say is left out. ``data`` is the payload as its sender wrote it, if that is JSON. One
that is not comes as a string: as ``text`` in place of ``data`` if it is UTF-8, otherwise as ``base64``. So a frame is
always one valid JSON text.

``RawProtocol``: a frame is a payload, both ways, and nothing else.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from gobroke_dist.client import Client
from gobroke_dist.errors import BrokeError, FrameInvalid
from gobroke_dist.identity import MAX_TOKEN
from gobroke_dist.message import Message
from gobroke_dist.request import ClientReply, ClientRequest, ClientToken, Receipt, ReceiptState

MAX_RECIPIENTS: Final = 1000
"""How many clients, and how many logics, one frame of a client may name."""

MAX_DIGITS: Final = 4300
"""Longest integer in a frame: the longest that Python reads (``sys.get_int_max_str_digits``)."""

MAX_WAIT: Final = 3600
"""Longest time that a client may wait for an answer, in seconds."""

_Id = Annotated[str, Meta(min_length=1, max_length=128)]
_Ids = _Id | Annotated[list[_Id], Meta(max_length=MAX_RECIPIENTS)]


class Envelope(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A client's frame."""

    data: Raw
    to_logic: _Ids = ""
    to_client: _Ids = ""
    to_group: _Ids = ""
    uuid: _Id | None = None
    metadata: dict[str, Any] | None = None
    ask: Annotated[float, Meta(gt=0, le=MAX_WAIT)] | None = None
    reply: _Id | None = None
    receipt: bool = False


class TokenFrame(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A client's frame with a newer token."""

    token: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN)]
    uuid: _Id | None = None


class MessageFrame(msgspec.Struct, tag_field="type", tag="message", omit_defaults=True, frozen=True):
    """A message to a client. One of ``data``, ``text`` and ``base64`` is set."""

    uuid: str
    data: Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET
    from_client: str | None = None
    from_logic: str | None = None
    metadata: dict[str, Any] = {}
    reply_to: str | None = None
    offset: int | UnsetType = UNSET


class ReplyFrame(msgspec.Struct, tag_field="type", tag="reply", omit_defaults=True, frozen=True):
    """The answer to a message of this client. One of ``data``, ``text`` and ``base64`` is set."""

    uuid: str
    data: Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET


class ReceiptFrame(msgspec.Struct, tag_field="type", tag="receipt", omit_defaults=True, frozen=True):
    """What has become of a message of this client at one logic."""

    uuid: str
    logic: str
    state: ReceiptState
    reason: str = ""


class RefreshedFrame(msgspec.Struct, tag_field="type", tag="refreshed", omit_defaults=True, frozen=True):
    """A token was taken."""

    expires_at: float | None = None
    uuid: str | None = None


class WelcomeFrame(msgspec.Struct, tag_field="type", tag="welcome", omit_defaults=True, frozen=True):
    """The first frame on a connection. The rest is for a client that may come back."""

    client: str
    node: str
    session: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    recovered: bool | UnsetType = UNSET


class CloseFrame(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A client's last frame."""

    close: Literal[1000, 1001]


class ClosedFrame(msgspec.Struct, tag_field="type", tag="closed", omit_defaults=True, frozen=True):
    """The last frame to a client."""

    code: int
    reason: str = ""
    retry_after: int | None = None


class GapFrame(msgspec.Struct, tag_field="type", tag="gap", frozen=True):
    """So many frames to this client were dropped here."""

    dropped: int


class ErrorFrame(msgspec.Struct, tag_field="type", tag="error", omit_defaults=True, frozen=True):
    """What went wrong with a message of this client."""

    code: str
    text: str
    uuid: str | None = None
    field: str | None = None


class _Key:
    """The name of a field, equal to nothing else: a dict of these keeps what JSON says twice."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


_encode = msgspec.json.Encoder().encode
_envelope = msgspec.json.Decoder(Envelope)
_token = msgspec.json.Decoder(TokenFrame)
_close = msgspec.json.Decoder(CloseFrame)
_fields = msgspec.json.Decoder(dict[_Key, Raw], dec_hook=lambda _, name: _Key(name))
_syntax = msgspec.json.Decoder(Raw)
_FIELD: Final = re.compile(r"at `\$\.([^`]+)`|field `([^`]+)`")
_LONGEST_CLOSE: Final = 100
_DIGITS: Final = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord("x") for byte in range(256))
_TOO_LONG: Final = b"0" * (MAX_DIGITS + 1)


class JSONProtocol:
    """The envelope above. Payloads are neither parsed nor written anew, only checked."""

    name: str = "json"
    binary: bool = False

    def decode(self, frame: bytes, client: Client) -> Message:
        """The message in a client's frame. Raises ``FrameInvalid``, with ``field`` where one is wrong."""
        try:
            envelope = _read(frame)
        except UnicodeDecodeError as error:
            raise FrameInvalid(f"the frame is not UTF-8: byte {error.start} is wrong") from None
        except RecursionError:
            raise FrameInvalid("the frame is nested too deeply") from None
        except msgspec.ValidationError as error:
            shown = _shown(frame)
            if shown is None:
                raise _invalid(str(error)) from None
            return ClientToken(token=shown.token, names=shown.uuid, from_client=client)
        except msgspec.DecodeError as error:
            raise FrameInvalid(_explain(str(error))) from None
        if envelope.reply is not None:
            return _reply(envelope, envelope.reply, client)
        if not (envelope.to_logic or envelope.to_client or envelope.to_group):
            raise FrameInvalid("the frame names no recipient: give to_logic, to_client or both", field="to_logic")
        message = _message(envelope, client) if envelope.ask is None else _request(envelope, envelope.ask, client)
        message.receipt = envelope.receipt
        return message

    def encode(self, message: Message) -> bytes:
        """Raises ``TypeError`` or ``ValueError`` when ``metadata`` is not JSON-able."""
        return _encode(_frame(message))

    def encode_numbered(self, message: Message, number: int) -> bytes:
        """As ``encode``, with the message's place."""
        return _encode(_frame(message, number))

    def encode_session(self, client: Client, *, token: str, number: int, recovered: bool) -> bytes:
        return _encode(WelcomeFrame(client.uuid, client.node, token, number, recovered))

    def encode_reply(self, answer: Message) -> bytes:
        return _encode(ReplyFrame(answer.uuid, *_payload(answer.message_raw)))

    def encode_refreshed(self, expires_at: float | None, uuid: str | None) -> bytes:
        return _encode(RefreshedFrame(expires_at, uuid))

    def encode_receipt(self, receipt: Receipt) -> bytes:
        return _encode(ReceiptFrame(*receipt))

    def encode_error(self, error: BrokeError, uuid: str | None) -> bytes:
        return _encode(ErrorFrame(error.code, str(error), uuid, getattr(error, "field", None)))

    def encode_welcome(self, client: Client) -> bytes:
        return _encode(WelcomeFrame(client.uuid, client.node))

    def encode_closed(self, code: int, reason: str, retry_after: int | None = None) -> bytes:
        return _encode(ClosedFrame(code, reason, retry_after))

    def encode_gap(self, dropped: int) -> bytes:
        return _encode(GapFrame(dropped))

    def decode_close(self, frame: bytes) -> int | None:
        if len(frame) > _LONGEST_CLOSE or b'"close"' not in frame:
            return None
        try:
            return _close.decode(frame).close
        except msgspec.DecodeError:
            return None


class RawProtocol:
    """A frame is a payload, and nothing else can be said; a client's frames all go to the same logics.

    Args:
        to_logic: the names of these logics.
    """

    name: str = "raw"
    binary: bool = True

    def __init__(self, to_logic: str | tuple[str, ...]) -> None:
        self.to_logic = (to_logic,) if isinstance(to_logic, str) else to_logic

    def decode(self, frame: bytes, client: Client) -> Message:
        return Message(to_logic=self.to_logic, from_client=client, message_raw=frame)

    def encode(self, message: Message) -> bytes:
        return message.message_raw

    def encode_reply(self, answer: Message) -> None:
        return None

    def encode_receipt(self, receipt: Receipt) -> None:
        return None

    def encode_error(self, error: BrokeError, uuid: str | None) -> None:
        return None

    def encode_welcome(self, client: Client) -> None:
        return None


def _frame(message: Message, number: int | UnsetType = UNSET) -> MessageFrame:
    data, text, base64 = _payload(message.message_raw)
    sender = message.from_client.uuid if message.from_client else None
    asks = message.reply_to.id if message.reply_to else None
    return MessageFrame(message.uuid, data, text, base64, sender, message.from_logic, message.metadata, asks, number)


def _read(frame: bytes) -> Envelope:
    if not frame.isascii():
        frame.decode("utf-8")  # msgspec does not look into the strings that it skips
    envelope = _envelope.decode(frame)
    _refuse_twice(frame)
    if len(frame) > MAX_DIGITS and _TOO_LONG in frame.translate(_DIGITS):
        msgspec.json.decode(envelope.data)  # refuses what Python could not read; digits in a string are fine
    return envelope


def _shown(frame: bytes) -> TokenFrame | None:
    """The token in a frame that is no message; None: it is nothing else either."""
    try:
        shown = _token.decode(frame)
        _refuse_twice(frame)
    except (msgspec.DecodeError, FrameInvalid):
        return None
    return shown


def _message(envelope: Envelope, client: Client) -> Message:
    return Message(
        to_client=envelope.to_client or (),
        to_group=envelope.to_group or (),
        to_logic=envelope.to_logic or (),
        from_client=client,
        message_raw=bytes(envelope.data),
        metadata=envelope.metadata,
        uuid=envelope.uuid,
    )


def _request(envelope: Envelope, timeout: float, client: Client) -> ClientRequest:
    logics = [envelope.to_logic] if isinstance(envelope.to_logic, str) else envelope.to_logic
    if len(logics) != 1 or envelope.to_client or envelope.to_group:
        raise FrameInvalid("a frame with ask names one logic, and nobody else", field="ask")
    return ClientRequest(
        timeout=timeout,
        to_logic=logics,
        from_client=client,
        message_raw=bytes(envelope.data),
        metadata=envelope.metadata,
        uuid=envelope.uuid,
    )


def _reply(envelope: Envelope, request: str, client: Client) -> ClientReply:
    recipients = envelope.to_logic or envelope.to_client or envelope.to_group
    if recipients or envelope.metadata is not None or envelope.ask or envelope.receipt:
        raise FrameInvalid("a frame with reply has data, and at most a uuid beside it", field="reply")
    return ClientReply(request=request, from_client=client, message_raw=bytes(envelope.data), uuid=envelope.uuid)


def _refuse_twice(frame: bytes) -> None:
    seen: set[str] = set()
    for key in _fields.decode(frame):
        if key.name in seen:
            raise FrameInvalid(f"the frame has the field {key.name!r} twice", field=key.name)
        seen.add(key.name)


def _invalid(text: str) -> FrameInvalid:
    where = _FIELD.search(text)
    return FrameInvalid(f"the frame is invalid: {text}", field=(where[1] or where[2]) if where else None)


def _explain(text: str) -> str:
    if "truncated" in text:
        return "the frame is not valid JSON: it ends too early, or has one half of a surrogate pair"
    return f"the frame is not valid JSON: {text.removeprefix('JSON is malformed: ')}"


def _payload(raw: bytes) -> tuple[Raw | UnsetType, str | UnsetType, str | UnsetType]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return UNSET, UNSET, b64encode(raw).decode("ascii")
    try:
        return _syntax.decode(raw), UNSET, UNSET
    except (msgspec.DecodeError, RecursionError):
        return UNSET, text, UNSET
