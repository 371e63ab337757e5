"""JSON Web Tokens (RFC 7519), with the precautions of RFC 8725."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gobroke_dist.access.keysets import KeySet, family
from gobroke_dist.errors import Unauthorised
from gobroke_dist.identity import MAX_TOKEN, ConnectRequest, Identity

if TYPE_CHECKING:
    from jwt import PyJWK

log = logging.getLogger(__name__)

_UUID: Final = re.compile(r"[!-~]{1,128}")


class JWTAuthenticator:
    """Lets in who shows a token that one of some keys has signed, and that has not run out. ::

        Broke(WebSocketEndpoint(), authenticator=JWTAuthenticator(
            jwks="https://login.example.com/.well-known/jwks.json",
            algorithms=["RS256"], audience="chat", issuer="https://login.example.com/",
        ))

    Every token must have ``exp``. One with ``aud`` is refused unless ``audience`` is given.

    Args:
        algorithms: which signatures count, such as ``["ES256"]``; those with one shared secret (HS256, HS384, HS512)
            do not go together with others. What a token says of itself chooses among these, and nothing else.
        key: the secret, or the public key as PEM.
        jwks: in its place, a file or a URL (https, or http where the network is trusted) with a JSON Web Key Set
            (RFC 7517).
        audience: what ``aud`` must name, or one of several.
        issuer: what ``iss`` must be.
        client: the claim that is the client's uuid; None: clients get uuids of their own.
        claims: names of claims that become the client's metadata.
        leeway: seconds by which the clocks of the issuer and of this machine may differ.
        refresh: seconds after which a set of keys is read again.
        cooldown: seconds between two readings of it at least, whatever tokens ask for.

    Raises:
        ValueError: these contradict each other.
        ImportError: PyJWT is not installed: ``pip install 'gobroke_dist[jwt]'``.
    """

    def __init__(
        self,
        *,
        algorithms: Sequence[str],
        key: str | bytes | None = None,
        jwks: str | Path | None = None,
        audience: str | Iterable[str] | None = None,
        issuer: str | None = None,
        client: str | None = "sub",
        claims: Sequence[str] = (),
        leeway: float = 10.0,
        refresh: float = 300.0,
        cooldown: float = 10.0,
    ) -> None:
        import jwt  # noqa: PLC0415 - who has no tokens needs no library for them

        self._jwt = jwt
        self._decoder = jwt.PyJWT({"require": ["exp"], "enforce_minimum_key_length": True})
        if (key is None) == (jwks is None):
            raise ValueError("give either key or jwks")
        self._algorithms = _checked(algorithms)
        self._key = None if key is None else _usable(jwt, key, self._algorithms)
        self._keys = None if jwks is None else KeySet(jwks, refresh=refresh, cooldown=cooldown)
        self._audience = audience if audience is None or isinstance(audience, str) else tuple(audience)
        self._issuer = issuer
        self._client = client
        self._claims = tuple(claims)
        self._leeway = leeway

    async def __call__(self, request: ConnectRequest, /) -> Identity:
        """Raises ``Unauthorised``, or ``AuthenticationUnavailable``."""
        token = request.token
        if not token:
            raise Unauthorised("a token is needed, in the header Authorization: Bearer, or as ?token=")
        if len(token) > MAX_TOKEN:
            raise Unauthorised(f"a token has at most {MAX_TOKEN} characters")
        try:
            key = await self._key_for(token)
            claims = self._decoder.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
            )
        except self._jwt.PyJWTError as error:
            raise Unauthorised(_told(self._jwt, error)) from None
        except (ValueError, TypeError, RecursionError, OverflowError):  # what the library does not expect in a token
            raise Unauthorised("the token can't be read") from None
        return self._identity(claims)

    async def _key_for(self, token: str) -> Any:
        if self._keys is None:
            return self._key
        header = self._jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in self._algorithms:
            raise Unauthorised(f"the token's algorithm is none of {', '.join(self._algorithms)}")
        key: PyJWK | None = await self._keys.find(header.get("kid"), algorithm)
        if key is None:
            raise Unauthorised("the token's key is not known")
        return key.key

    def _identity(self, claims: dict[str, Any]) -> Identity:
        uuid = None
        if self._client is not None:
            uuid = claims.get(self._client)
            if not isinstance(uuid, str) or not _UUID.fullmatch(uuid):
                raise Unauthorised(f"the token's {self._client} must be a client: 1 to 128 visible ASCII characters")
        issued_at = claims.get("iat")
        return Identity(
            uuid=uuid,
            claims={name: claims.get(name) for name in self._claims},
            expires_at=float(claims["exp"]) + self._leeway,
            issued_at=None if issued_at is None else float(issued_at),
        )


def _checked(algorithms: Sequence[str]) -> list[str]:
    if isinstance(algorithms, str) or not algorithms:
        raise ValueError('algorithms is a list of names, such as ["RS256"]')
    families = {family(name) for name in algorithms}
    if None in families:
        unknown = [name for name in algorithms if family(name) is None]
        raise ValueError(f"{', '.join(map(repr, unknown))}: no algorithm that a token may be signed with")
    if "oct" in families and len(families) > 1:
        raise ValueError("a public key must never count as a shared secret: don't mix HS… with other algorithms")
    return list(algorithms)


def _usable(jwt: Any, key: str | bytes, algorithms: list[str]) -> Any:
    """The key, as the library takes it. Raises ``ValueError``."""
    for name in algorithms:
        kind = jwt.get_algorithm_by_name(name)
        try:
            prepared = kind.prepare_key(key)
        except (jwt.InvalidKeyError, ValueError, TypeError) as error:
            raise ValueError(f"the key is none for {name}: {error}") from None
        too_short = kind.check_key_length(prepared)  # RFC 7518, sections 3.2 and 3.3
        if too_short:
            raise ValueError(f"the key for {name} is too short: {too_short}")
        if hasattr(prepared, "private_bytes"):
            raise ValueError("this is a private key; only its public part belongs on an edge")
    return key


def _told(jwt: Any, error: Exception) -> str:
    """What a client may know of it; the token itself is never a part of that."""
    if isinstance(error, jwt.ExpiredSignatureError):
        return "the token has run out; get a new one"
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the token has no {error.claim}"
    texts = {
        jwt.InvalidAudienceError: "the token is for somebody else (aud)",
        jwt.InvalidIssuerError: "the token is from somebody else (iss)",
        jwt.ImmatureSignatureError: "the token is not valid yet",
        jwt.InvalidAlgorithmError: "the token's algorithm is not allowed",
        jwt.InvalidSignatureError: "the token's signature is wrong",
    }
    return next((text for kind, text in texts.items() if isinstance(error, kind)), "the token can't be read")
