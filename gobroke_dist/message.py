"""The one thing that travels: a payload, who sent it, and who is to get it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from os import urandom
from typing import Any, Final, NamedTuple, TypeVar

from gobroke_dist.client import Client
from gobroke_dist.errors import TagDoesNotExist

T = TypeVar("T")
_NO_DEFAULT: Final = object()
_CLIENT: Final = (Client, str)
_FIXED_BITS: Final = 0xF << 76 | 0b11 << 62
_VERSION_4: Final = 0x4 << 76 | 0b10 << 62


class MessageState(StrEnum):
    """Whether a message goes on through the pipeline."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Delivery(NamedTuple):
    """What a WORKER may know about this delivery of a message.

    Attributes:
        attempt: 1 for the first run, 2 for the first retry; crashes count as well.
        recovered: an earlier run was taken from a worker that died or lost its lease.
        fence: grows with every delivery of a key; hand it to systems outside Redis to refuse a stale writer.
        seq: grows with every message that the queue accepts: the messages of a key have theirs in the order in which
            they are processed. Gaps are normal. 0: not known, as for what other tools pushed.
        age: seconds from when Redis accepted the message until it handed it out, by Redis' clock.
    """

    attempt: int = 1
    recovered: bool = False
    fence: int = 0
    seq: int = 0
    age: float = 0.0


class ReplyTo(NamedTuple):
    """Where the answer to a request goes.

    Attributes:
        node: the process that waits for it.
        id: names the request there.
    """

    node: str
    id: str


_FIRST = Delivery()


class Message:
    """A message between clients and logics.

    Attributes:
        to_client: the clients to deliver to; uuids are accepted and become clients.
        to_logic: names of the logics that are to process the message.
        to_group: names of the groups to whose members to deliver; who is in several, or named as well, gets it once.
        to_all: deliver to every client of the cluster.
        exclude_sender: the client that sends it does not get it by way of ``to_group`` and ``to_all``.
        from_client: the client that sent it, if a client did.
        from_logic: the name of the logic that sent it, if a logic did.
        message_raw: the payload's bytes; text is encoded as UTF-8.
        metadata: JSON-able facts that travel with the message.
        uuid: the message's identity; a logic accepts the same uuid once per window (contract W12).
        state: set by ``accept()`` and ``reject()``; ``reason`` is what ``reject()`` was given.
        tags: scratch space for middleware and logic on one node; tags do not travel.
        delivery: what a WORKER may know about this run.
        payload: the validated object, when the logic declares a ``payload`` model.
        reply_to: of a request that is not answered yet; set by the framework.
        receipt: whether the client that sends it wants to hear what becomes of it at WORKER logics; or which process
            wants to, instead of a client.
    """

    __slots__ = (
        "delivery",
        "exclude_sender",
        "from_client",
        "from_logic",
        "message_raw",
        "metadata",
        "payload",
        "reason",
        "receipt",
        "reply_to",
        "state",
        "tags",
        "to_all",
        "to_client",
        "to_group",
        "to_logic",
        "uuid",
    )

    def __init__(
        self,
        *,
        to_client: Client | str | Iterable[Client | str] = (),
        to_logic: str | Iterable[str] = (),
        to_group: str | Iterable[str] = (),
        to_all: bool = False,
        exclude_sender: bool = True,
        from_client: Client | None = None,
        from_logic: str | None = None,
        message_raw: bytes | str = b"",
        metadata: dict[str, Any] | None = None,
        uuid: str | None = None,
    ) -> None:
        self.to_client = _clients(to_client)
        self.to_logic = (to_logic,) if isinstance(to_logic, str) else tuple(to_logic)
        self.to_group = (to_group,) if isinstance(to_group, str) else tuple(to_group)
        self.to_all = to_all
        self.exclude_sender = exclude_sender
        self.from_client = from_client
        self.from_logic = from_logic
        self.message_raw = message_raw.encode() if isinstance(message_raw, str) else message_raw
        self.metadata: dict[str, Any] = {} if metadata is None else metadata
        self.uuid = uuid or _new_uuid()
        self.state = MessageState.ACCEPTED
        self.reason = ""
        self.tags: dict[str, Any] = {}
        self.delivery = _FIRST
        self.payload: Any = None
        self.reply_to: ReplyTo | None = None
        self.receipt: bool | ReplyTo = False

    def __repr__(self) -> str:
        sender = self.from_logic or (self.from_client and self.from_client.uuid)
        return f"Message(uuid={self.uuid!r}, from={sender!r}, bytes={len(self.message_raw)})"

    def accept(self) -> None:
        """Let the message go on (the default)."""
        self.state = MessageState.ACCEPTED
        self.reason = ""

    def reject(self, reason: str = "middleware") -> None:
        """Stop the message here. ``reason`` is a short word: it is counted, and the sender gets to see it."""
        self.state = MessageState.REJECTED
        self.reason = reason

    @property
    def rejected(self) -> bool:
        """Whether ``reject()`` was called last."""
        return self.state is MessageState.REJECTED

    def add_tag(self, name: str, value: Any) -> None:
        """Attach any value under a name, for a later middleware or logic on the same node."""
        self.tags[name] = value

    def get_tag(self, name: str, default: Any = _NO_DEFAULT) -> Any:
        """The value of a tag, or ``default``.

        Raises:
            TagDoesNotExist: the tag was never set, and no default was given.
        """
        value = self.tags.get(name, default)
        if value is _NO_DEFAULT:
            raise TagDoesNotExist(name)
        return value

    def json(self) -> Any:
        """The payload read as JSON.

        Raises:
            json.JSONDecodeError: ``message_raw`` is not JSON (a subclass of ``ValueError``).
        """
        return json.loads(self.message_raw)

    def copy(self) -> Message:
        """A copy that can be changed without changing this one; metadata and tags are copied one level deep."""
        made = Message.__new__(Message)
        for name in Message.__slots__:
            setattr(made, name, getattr(self, name))
        made.metadata = dict(self.metadata)
        made.tags = dict(self.tags)
        return made


def _clients(given: Client | str | Iterable[Client | str]) -> tuple[Client, ...]:
    if isinstance(given, _CLIENT):
        given = (given,)
    return tuple([Client(uuid=one) if isinstance(one, str) else one for one in given]) if given else ()


def _new_uuid() -> str:
    """What ``str(uuid.uuid4())`` makes (RFC 9562, section 5.4), in a third of its time: every message needs one."""
    bits = int.from_bytes(urandom(16)) & ~_FIXED_BITS | _VERSION_4
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


# --- the seed's constructors -------------------------------------------------


def new_client_message(
    from_client: Client,
    to_clients: Iterable[Client],
    to_logic: Iterable[str],
    message_raw: bytes,
    *,
    metadata: dict[str, Any] | None = None,
    uuid: str | None = None,
) -> Message:
    """A message from a client to several clients and logics."""
    return Message(
        from_client=from_client,
        to_client=to_clients,
        to_logic=to_logic,
        message_raw=message_raw,
        metadata=metadata,
        uuid=uuid,
    )


def new_simple_client_message(
    from_client: Client,
    to_client: Client | None,
    to_logic: str | None,
    message_raw: bytes,
    *,
    metadata: dict[str, Any] | None = None,
    uuid: str | None = None,
) -> Message:
    """A message from a client to one client, one logic, or both; ``None`` means no recipient of that kind."""
    return new_client_message(
        from_client, _optional(to_client), _optional(to_logic), message_raw, metadata=metadata, uuid=uuid
    )


def new_logic_message(
    from_logic: str,
    to_clients: Iterable[Client],
    to_logic: Iterable[str],
    message_raw: bytes,
    *,
    metadata: dict[str, Any] | None = None,
    uuid: str | None = None,
) -> Message:
    """A message from a logic to several clients and logics."""
    return Message(
        from_logic=from_logic,
        to_client=to_clients,
        to_logic=to_logic,
        message_raw=message_raw,
        metadata=metadata,
        uuid=uuid,
    )


def new_simple_logic_message(
    from_logic: str,
    to_client: Client | None,
    to_logic: str | None,
    message_raw: bytes,
    *,
    metadata: dict[str, Any] | None = None,
    uuid: str | None = None,
) -> Message:
    """A message from a logic to one client, one logic, or both; ``None`` means no recipient of that kind."""
    return new_logic_message(
        from_logic, _optional(to_client), _optional(to_logic), message_raw, metadata=metadata, uuid=uuid
    )


def _optional(one: T | None) -> tuple[T, ...]:
    return () if one is None or one == "" else (one,)
