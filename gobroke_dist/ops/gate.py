"""Who may call the HTTP API: bearers of a token, and nobody who guesses fast."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from gobroke_dist.access.addresses import site
from gobroke_dist.access.bucket import TokenBucket
from gobroke_dist.errors import RateLimited, Unauthorised

REFUSED_AT_ONCE: Final = 10
_REFUSED_PER_SECOND: Final = 1.0
_SITES: Final = 10_000


class Gate:
    """Checks the Authorization header.

    An address that was refused ten times is not looked at any more until its second has come, not even with a token
    that is right: an answer would tell that it is.

    Args:
        tokens: each of them is good, so one can be replaced while both count.
        monotonic: seconds that never go back.
    """

    def __init__(self, tokens: Sequence[str], monotonic: Callable[[], float]) -> None:
        self._hashes = [sha256(token.encode()).digest() for token in tokens]
        self._monotonic = monotonic
        self._refused: OrderedDict[str, TokenBucket] = OrderedDict()

    def require(self, address: str, authorization: str) -> None:
        """Let a call pass.

        Raises:
            Unauthorised: it shows no token, or one that is not good.
            RateLimited: too many from this address were refused.
        """
        now, at = self._monotonic(), site(address)
        refused = self._refused.get(at)
        wait = refused.wait(now) if refused is not None else 0.0
        if wait > 0:
            raise RateLimited(wait)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self._good(token.strip()):
            return
        if refused is None:
            refused = self._refused[at] = TokenBucket(_REFUSED_PER_SECOND, REFUSED_AT_ONCE, now)
        self._refused.move_to_end(at)
        if len(self._refused) > _SITES:
            self._refused.popitem(last=False)
        refused.take(now)
        raise Unauthorised("show a token of GOBROKE_API_TOKENS: Authorization: Bearer ...")

    def _good(self, token: str) -> bool:
        """All are compared, whichever matches: how long it takes tells nothing."""
        shown = sha256(token.encode("utf-8", "surrogateescape")).digest()
        return sum(compare_digest(shown, one) for one in self._hashes) > 0
