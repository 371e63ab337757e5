"""Every limit in one table, as the reference prints it (contract E3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gobroke_dist.errors import BrokeError, FrameTooLarge, RateLimited
from gobroke_dist.session import CloseCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit.

    Attributes:
        what: is limited.
        settings: that say how much.
        answer: what becomes of what is beyond it.
        metric: where it is counted: ``drops.…`` or ``counts.…`` of ``Metrics``.
        code: with which a connection is closed; None: it is not.
        http: with which an upgrade request, or one to an ``HTTPEndpoint``, is answered; None: it is not.
        error: whose code is in an error frame; None: there is none.
    """

    what: str
    settings: tuple[str, ...]
    answer: str
    metric: str
    code: CloseCode | None = None
    http: int | None = None
    error: type[BrokeError] | None = None


HTTP_STATUS: Final = {"node_full": 503, "address_full": 429, "connecting_too_fast": 503}
"""How a request is answered that is not let in, with ``Retry-After``."""

LIMITS: Final = (
    Limit(
        what="clients of one edge",
        settings=("max_connections",),
        answer="not let in; an endpoint without HTTP closes with the code",
        metric="drops.node_full",
        http=HTTP_STATUS["node_full"],
        code=CloseCode.TOO_MANY,
    ),
    Limit(
        what="clients from one address on one edge",
        settings=("max_connections_per_address",),
        answer="the same; as many sockets again may be in their handshakes, or poll or post, one more is cut",
        metric="drops.address_full",
        http=HTTP_STATUS["address_full"],
        code=CloseCode.TOO_MANY,
    ),
    Limit(
        what="clients let in per second",
        settings=("max_connects", "connect_burst"),
        answer="the same",
        metric="drops.connecting_too_fast",
        http=HTTP_STATUS["connecting_too_fast"],
        code=CloseCode.TOO_MANY,
    ),
    Limit(
        what="time for the handshake",
        settings=("handshake_timeout",),
        answer="the socket is cut; a posted frame that is late is answered",
        metric="drops.handshake_timeout",
        http=408,
    ),
    Limit(
        what="65,536 clients let in over UDP, in twice this time",
        settings=("handshake_timeout",),
        answer="closed: a cookie that could not be remembered might let in twice",
        metric="drops.cookies_full",
        code=CloseCode.TOO_MANY,
    ),
    Limit(
        what="headers of a request, 8 kB each and 128 in all, and what is no request",
        settings=(),
        answer="refused, and the socket is closed",
        metric="drops.bad_request",
        http=400,
    ),
    Limit(
        what="time for the authenticator",
        settings=("handshake_timeout",),
        answer="closed; a poll is answered",
        metric="drops.authentication_timeout",
        http=503,
        code=CloseCode.UNAVAILABLE,
    ),
    Limit(
        what="messages per second of one client",
        settings=("max_messages", "message_burst"),
        answer="the message is refused",
        metric="drops.rate_limited",
        http=429,
        error=RateLimited,
    ),
    Limit(
        what="refused messages per second of one client",
        settings=("max_messages", "message_burst"),
        answer="closed: it sends more than twice as fast as it may",
        metric="counts.closed_too_fast",
        code=CloseCode.TOO_FAST,
    ),
    Limit(
        what="size of a message; nothing is compressed, so it is that of what is unpacked, too",
        settings=("max_frame",),
        answer="closed before it is read to its end; a posted one is answered, and counted as `drops.too_big`",
        metric="counts.closed_too_big",
        http=413,
        code=CloseCode.TOO_BIG,
    ),
    Limit(
        what="size of a message in a datagram, `UDPEndpoint(max_datagram=1200)` less 36 bytes",
        settings=(),
        answer="from a client: closed with 1009. To a client: not sent",
        metric="drops.frame_too_large",
        error=FrameTooLarge,
    ),
    Limit(
        what="time without a message from or to the client",
        settings=("idle_timeout",),
        answer="closed, at most a quarter later",
        metric="counts.closed_idle",
        code=CloseCode.IDLE,
    ),
    Limit(
        what="time without a sign of life",
        settings=("ping_interval", "ping_timeout"),
        answer="closed",
        metric="counts.closed_ping_timeout",
        code=CloseCode.PING_TIMEOUT,
    ),
    Limit(
        what="messages that a client has not read",
        settings=("channel_size", "outbox_bytes", "slow_consumers"),
        answer="closed; with another `slow_consumers` it loses frames (`drops.dropped_oldest`, `drops.dropped_newest`)",
        metric="counts.closed_slow_consumer",
        code=CloseCode.SLOW_CONSUMER,
    ),
)
