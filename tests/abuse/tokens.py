"""Tokens that are forged, replayed, or somebody else's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final

import jwt

from gobroke_dist.session import CloseCode
from tests.abuse.answers import Answer, Part, Row, Way, closed, http
from tests.access.issuer import Key, claims_of

AUDIENCE: Final = "abuse"
ISSUER: Final = "https://login.example.com/"
REVOKED: Final = "rae"
"""Whose tokens were revoked."""

RSA, EC, FOREIGN = Key("r1"), Key("e1", "ES256"), Key("r1")


def good(client: str, **claims: Any) -> dict[str, Any]:
    """Claims that let a client in; others change them."""
    return claims_of(client, **{"aud": AUDIENCE, "iss": ISSUER, "age": 10} | claims)


def _token(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    """One that no library would make."""
    text = f"{_packed(header)}.{_packed(claims)}"
    return f"{text}.{_base64(sign(text.encode()))}"


def _packed(what: Any) -> str:
    return _base64(json.dumps(what).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _by_secret(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda text: hmac.digest(secret, text, hashlib.sha256)


def _signed(key: Key = RSA, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    headers = {"kid": key.kid} | (headers or {})
    return jwt.encode(good("tess", **claims), key.private, key.algorithm, headers=headers)


def _twisted() -> str:
    """Another client in a token that was signed for this one."""
    head, _, signature = _signed().split(".")
    return f"{head}.{_packed(good('admin'))}.{signature}"


def _renamed() -> str:
    _, body, signature = _signed().split(".")
    return f"{_packed({'alg': 'ES256', 'kid': 'e1'})}.{body}.{signature}"


def _with_jwk() -> str:
    return _signed(FOREIGN, headers={"kid": "mine", "jwk": FOREIGN.jwk})


_HS = {"alg": "HS256", "typ": "JWT"}
_BY_PEM = _by_secret(RSA.pem.encode())

_FORGED: tuple[tuple[str, Callable[[], str]], ...] = (
    ("of no meaning", lambda: "nonsense"),
    ("of two parts", lambda: "a.b"),
    ("of a thousand parts", lambda: "a." * 1000),
    ("of 8,000 characters", lambda: "x" * 8000),
    ("with algorithm none", lambda: _token({"alg": "none"}, good("tess"))),
    ("with algorithm nOnE", lambda: _token({"alg": "nOnE"}, good("tess"))),
    ("without an algorithm", lambda: _token({"typ": "JWT"}, good("tess"))),
    ("with a list of algorithms", lambda: _token({"alg": ["RS256"]}, good("tess"))),
    ("with an object for its algorithm", lambda: _token({"alg": {"a": 1}}, good("tess"))),
    ("signed by HMAC with the public key", lambda: _token(_HS | {"kid": "r1"}, good("tess"), _BY_PEM)),
    ("signed by HMAC with nothing", lambda: _token(_HS, good("tess"), _by_secret(b""))),
    ("signed by somebody else's key of the same name", lambda: _signed(FOREIGN)),
    ("of RSA that says it is of EC", _renamed),
    ("whose signature is missing", lambda: _signed().rsplit(".", 1)[0] + "."),
    ("whose signature has another byte", lambda: _signed()[:-8] + "AAAAAAAA"),
    ("whose claims were changed", _twisted),
    ("that brings its own key", _with_jwk),
    ("that says where its key is", lambda: _signed(FOREIGN, headers={"kid": "x", "jku": "https://evil.example/keys"})),
    ("whose key is a path", lambda: _signed(FOREIGN, headers={"kid": "../../../../dev/null"})),
    ("whose key is a statement of SQL", lambda: _signed(FOREIGN, headers={"kid": "x' UNION SELECT 'key"})),
    ("whose key is a number", lambda: _token({"alg": "RS256", "kid": 1}, good("tess"), _by_secret(b""))),
    ("whose key is an object", lambda: _token({"alg": "RS256", "kid": {"a": 1}}, good("tess"), _by_secret(b""))),
    ("with a critical extension", lambda: _signed(headers={"crit": ["exp"], "exp": 1})),
    ("for somebody else (aud)", lambda: _signed(aud="another")),
    ("for nobody (aud)", lambda: _signed(aud=None)),
    ("from somebody else (iss)", lambda: _signed(iss="https://evil.example/")),
    ("from nobody (iss)", lambda: _signed(iss=None)),
    ("that has run out", lambda: _signed(seconds=-60)),
    ("that never runs out", lambda: _signed(exp=None)),
    ("that runs out in 10,000 years", lambda: _signed(seconds=3.2e11)),
    ("that runs out at infinity", lambda: _signed(exp=float("inf"))),
    ("that runs out at a text", lambda: _signed(exp="tomorrow")),
    ("that is not good yet", lambda: _signed(nbf=4e9)),
    ("from the future", lambda: _signed(age=-600)),
    ("for a client with a space", lambda: _signed(sub="a b")),
    ("for a client with CR and LF", lambda: _signed(sub="a\r\nb")),
    ("for no client", lambda: _signed(sub=None)),
    ("whose claims are a list", lambda: jwt.api_jws.encode(b"[]", RSA.private, "RS256", headers={"kid": "r1"})),
    (
        "whose claims are nested deeply",
        lambda: jwt.api_jws.encode(b"[" * 2000 + b"]" * 2000, RSA.private, "RS256", headers={"kid": "r1"}),
    ),
)


def _refused(
    what: str, made: Callable[[], str], code: CloseCode = CloseCode.UNAUTHORISED, name: str = "unauthorised"
) -> Row:
    def sent() -> list[Part]:
        return [made().encode()]

    answers: dict[Way, Answer] = {
        Way.TOKEN: closed(code),
        Way.TOKEN_HELLO: closed(code),
        Way.TOKEN_POLL: http(401, name),
    }
    return Row(f"a token {what}", sent, answers)


TOKENS = (
    *(_refused(what, made) for what, made in _FORGED),
    Row("a token that is empty", b"", {Way.TOKEN_HELLO: closed(CloseCode.UNAUTHORISED)}),
    _refused(
        "that was revoked",
        lambda: jwt.encode(good(REVOKED, age=3600), RSA.private, "RS256", headers={"kid": "r1"}),
        CloseCode.REVOKED,
        "revoked",
    ),
)
