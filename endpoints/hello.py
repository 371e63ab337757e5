"""What a client says of itself when it connects: in the query of an address, or in a first frame."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gobroke_dist.client import Client
from gobroke_dist.identity import ConnectRequest, bearer
from gobroke_dist.session import Recovery

MAX_HELLO: Final = 16 * 1024
"""Largest first frame, in bytes."""

MAX_METADATA: Final = 32
"""How many facts may become the client's metadata."""

MAX_METADATA_SIZE: Final = 4096
"""How many characters these may have together, names included."""

_UUID: Final = re.compile(r"[!-~]{1,128}")  # as an authenticator of tokens has them
_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_OFFSET: Final = re.compile(r"[0-9]{1,15}")


class HelloRefused(Exception):
    """It can't be let in like this. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who wants to connect.

    Attributes:
        client: as whom.
        recovery: whether it asks to be let back, later or now.
        asked: what an authenticator gets to see.
    """

    client: Client
    recovery: Recovery | None
    asked: ConnectRequest


def introduced(
    facts: Iterable[tuple[str, str]], *, transport: str, address: str = "", headers: Mapping[str, str] | None = None
) -> Hello:
    """Who comes, from its facts: ``client``, ``token``, ``recover``, ``session`` and ``offset``; the others become its
    metadata.

    Args:
        facts: what it says of itself.
        transport: how it comes.
        address: where it comes from.
        headers: of its request, if it is one; with names in lower case.

    Raises:
        HelloRefused: a fact is wrong, is given twice, or is missing.
    """
    query: dict[str, str] = {}
    for name, value in facts:
        if name in query:
            raise HelloRefused(f"{name[:100]!r} is given twice")
        query[name] = value
    client, recovery = _client(query)
    headers = headers or {}
    asked = ConnectRequest(
        transport=transport,
        address=address,
        client=query.get("client"),
        token=bearer(headers, query),
        headers=headers,
        query=query,
    )
    return Hello(client, recovery, asked)


def nobody(transport: str) -> Hello:
    """Somebody who has not said who it is, and is only to be told why it can't stay."""
    return introduced((), transport=transport)


def read_hello(frame: bytes, *, transport: str, address: str = "") -> Hello:
    """Who comes, from a first frame: one JSON object, whose fields are its facts. A number counts as its digits, true
    as ``1``, and what is false is not said.

    Raises:
        HelloRefused: as ``introduced``, or it is no such object.
    """
    try:
        given = json.loads(frame.decode("utf-8"), object_pairs_hook=_Object)
    except (ValueError, RecursionError):
        raise HelloRefused("the first frame must be a hello: one JSON object in UTF-8") from None
    if not isinstance(given, _Object):
        raise HelloRefused("the first frame must be a hello: one JSON object")
    return introduced(_said(given), transport=transport, address=address)


class _Object(list[tuple[str, Any]]):
    """The fields of a JSON object, those given twice as well."""


def _said(given: _Object) -> Iterator[tuple[str, str]]:
    for name, value in given:
        if not isinstance(value, str | int):
            raise HelloRefused(f"{name[:100]!a} must be a string, an integer, true or false")
        text = value if isinstance(value, str) else str(int(value))
        if not _is_unicode(name + text):
            raise HelloRefused(f"{name[:100]!a} has one half of a surrogate pair")
        if value is not False:
            yield name, text


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _client(query: Mapping[str, str]) -> tuple[Client, Recovery | None]:
    known = dict(query)
    known.pop("token", None)  # a secret, and no fact about the client
    uuid = known.pop("client", None)
    if uuid is not None and not _UUID.fullmatch(uuid):
        raise HelloRefused("client must be 1 to 128 visible ASCII characters")
    recovery = _recovery(known)
    if recovery is not None and recovery.token and uuid is None:
        raise HelloRefused("who comes back says with client who it is")
    size = sum(len(name) + len(value) for name, value in known.items())
    if len(known) > MAX_METADATA or size > MAX_METADATA_SIZE:
        raise HelloRefused(f"at most {MAX_METADATA} parameters of {MAX_METADATA_SIZE} characters together")
    client = Client() if uuid is None else Client(uuid=uuid)
    client.metadata.update(known)
    return client, recovery


def _recovery(known: dict[str, str]) -> Recovery | None:
    wanted, token, offset = (known.pop(name, None) for name in ("recover", "session", "offset"))
    if token is None:
        return None if wanted is None else Recovery()
    if not _TOKEN.fullmatch(token) or not _OFFSET.fullmatch(offset or ""):
        raise HelloRefused("who comes back shows session and offset, as they were sent to it")
    return Recovery(token, int(offset or 0))
