"""How a client is stored: one JSON object whose first part says whose it is.

That part, the head, is compared as bytes, so a script can tell one session from another without reading the
metadata, which is the application's and can be of any size and depth.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gobroke_dist.client import Client

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class _Registration(msgspec.Struct):
    node: str
    session: str
    metadata: dict[str, Any]


_decoder = msgspec.json.Decoder(_Registration)
_list_decoder = msgspec.json.Decoder(list[_Registration])


def node_head(node: str) -> bytes:
    """What every registration on this node starts with."""
    return b'{"node":%b,' % msgspec.json.encode(node)


def head(client: Client) -> bytes:
    """What the registration of this very session starts with."""
    return b'%b"session":%b,' % (node_head(client.node), msgspec.json.encode(client.session))


def encode(client: Client) -> bytes:
    """The registration as JSON. Raises ``TypeError`` or ``ValueError`` where the metadata is not JSON-able."""
    return b'%b"metadata":%b}' % (head(client), msgspec.json.encode(client.metadata))


def encodable(clients: Iterable[Client]) -> Iterator[tuple[Client, bytes]]:
    """Each client with its registration. One whose metadata is not JSON-able is logged and left out."""
    for client in clients:
        try:
            yield client, encode(client)
        except (TypeError, ValueError, RecursionError) as error:
            log.warning("metadata of client %s can't be shared with other nodes: %s", client.uuid, error)


def decode(uuid: str, registration: bytes, milliseconds: int) -> Client:
    """The client as others see it. ``milliseconds``: when its last message came, in Unix time."""
    stored = _decoder.decode(registration)
    return Client(uuid, stored.metadata, _EPOCH + milliseconds * _MILLISECOND, stored.node, stored.session)


def decode_all(found: Sequence[bytes]) -> list[Client]:
    """The clients of which a script has told three each: uuid, registration, Unix milliseconds."""
    return decode_many(found[::3], found[1::3], found[2::3])


def decode_many(uuids: Sequence[bytes], registrations: Sequence[bytes], milliseconds: Sequence[bytes]) -> list[Client]:
    """The clients of which a script has told all of each kind."""
    all_stored = _list_decoder.decode(b"[%b]" % b",".join(registrations))
    return [
        Client(uuid.decode(), stored.metadata, _EPOCH + int(ms) * _MILLISECOND, stored.node, stored.session)
        for uuid, stored, ms in zip(uuids, all_stored, milliseconds, strict=True)
    ]


def last_message_ms(client: Client) -> int:
    """When the client's last message came, in Unix milliseconds."""
    return (client.last_message - _EPOCH) // _MILLISECOND
