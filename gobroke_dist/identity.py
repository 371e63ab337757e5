"""Who wants to connect, and who it turned out to be (contract E2)."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

MAX_TOKEN: Final = 8192
"""How many characters a token may have."""

_BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRequest:
    """What is known of a client before it is one. Its text shows nothing that is secret.

    Attributes:
        transport: how it comes, such as ``websocket``.
        address: where it comes from: behind a proxy that is trusted, not the proxy's.
        client: the uuid that it asks for, if it does.
        token: what it shows: from ``Authorization: Bearer``, from ``?token=``, or from the first frame of a transport
            that has neither.
        headers: of its request; names are in lower case.
        query: the parameters of its address.
        vouched: the endpoint itself knows who this is, as one does whose clients are made by code.
    """

    transport: str
    address: str = ""
    client: str | None = None
    token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    vouched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a client is.

    Attributes:
        uuid: the client's; None: it is somebody, and gets a uuid of its own.
        claims: facts about it, JSON-able; they become the client's metadata, over what it says itself. None as a
            value takes what it says away.
        expires_at: Unix seconds; then its connection is closed, unless a newer token has come. None: it does not.
        issued_at: Unix seconds; a revocation is of what was issued until then. None: long ago.
    """

    uuid: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    expires_at: float | None = None
    issued_at: float | None = None


class Authenticator(Protocol):
    """Says who a client is. An ``async def`` function of one argument is one."""

    def __call__(self, request: ConnectRequest, /) -> Awaitable[Identity]:
        """Called once for each connection, and for each token that follows on it; must not block.

        Raises:
            Unauthorised: it is nobody who may connect. The text is told to the client.
            Unavailable: it can't be known now; the client may come again.
        """
        ...


def bearer(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The token of an HTTP request (RFC 6750, sections 2.1 and 2.3); the header comes first."""
    given = headers.get("authorization", "")
    if given[: len(_BEARER)].lower() == _BEARER:
        return given[len(_BEARER) :].strip()
    return query.get("token")
