"""Every limit of the HTTP API, as the reference prints it (contract E3)."""

from __future__ import annotations

from typing import Final

from gobroke_dist.access.limits import Limit
from gobroke_dist.errors import CallInvalid, QueueFull, RateLimited
from gobroke_dist.ops.api_models import MAX_PAGE, MAX_WAIT
from gobroke_dist.ops.gate import REFUSED_AT_ONCE

CONNECTIONS: Final = 256
"""How many the API of one edge may have."""

API_LIMITS: Final = (
    Limit(
        what=f"API: {CONNECTIONS} connections to one edge",
        settings=(),
        answer="the socket is cut",
        metric="drops.api_full",
    ),
    Limit(
        what="API: time for a connection's first request",
        settings=("handshake_timeout",),
        answer="the socket is cut",
        metric="drops.api_too_late",
    ),
    Limit(
        what="API: headers of a request, 8 kB each and 128 in all, and what is no request",
        settings=(),
        answer="refused, and closed",
        metric="drops.api_call_invalid",
        http=400,
        error=CallInvalid,
    ),
    Limit(
        what="API: time for a body",
        settings=("handshake_timeout",),
        answer="refused, and closed",
        metric="drops.api_call_invalid",
        http=408,
        error=CallInvalid,
    ),
    Limit(
        what="API: size of a body",
        settings=("max_frame",),
        answer="refused, and closed before it is read to its end",
        metric="drops.api_call_invalid",
        http=413,
        error=CallInvalid,
    ),
    Limit(
        what=f"API: tokens from one address that are not good, {REFUSED_AT_ONCE} at once and then one a second",
        settings=(),
        answer="refused, whatever token it shows",
        metric="drops.api_rate_limited",
        http=429,
        error=RateLimited,
    ),
    Limit(
        what="API: requests, and messages to be followed, that wait in one process, those of logics with them",
        settings=("pending_limit",),
        answer="refused",
        metric="drops.api_queue_full",
        http=503,
        error=QueueFull,
    ),
    Limit(
        what=f"API: {MAX_PAGE} in a page, and {MAX_WAIT:g} s to wait for what comes of a message",
        settings=(),
        answer="refused",
        metric="drops.api_call_invalid",
        http=400,
        error=CallInvalid,
    ),
)
