"""Which tokens let somebody in (contract E2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gobroke_dist import AuthenticationUnavailable, ConnectRequest, Identity, JWTAuthenticator, Unauthorised
from gobroke_dist.identity import bearer
from tests.access.issuer import SECRET, Key, claims_of, serving, signed
from tests.eventually import eventually

RSA, EC, OTHER = Key("r1"), Key("e1", "ES256"), Key("r2")


def asking(token: str | None, **more: Any) -> ConnectRequest:
    return ConnectRequest(transport="test", token=token, **more)


async def who(authenticator: JWTAuthenticator, token: str | None) -> Identity:
    return await authenticator(asking(token))


async def refused(authenticator: JWTAuthenticator, token: str | None) -> str:
    with pytest.raises(Unauthorised) as caught:
        await authenticator(asking(token))
    if token:
        assert token not in str(caught.value)
    return str(caught.value)


def by_secret(**options: Any) -> JWTAuthenticator:
    return JWTAuthenticator(algorithms=["HS256"], key=SECRET, **options)


def part(what: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(what).encode()).rstrip(b"=").decode()


# --- what a token must be ----------------------------------------------------


@pytest.mark.parametrize(
    ("authenticator", "token"),
    [
        (by_secret(), signed()),
        (JWTAuthenticator(algorithms=["RS256"], key=RSA.pem), RSA.sign()),
        (JWTAuthenticator(algorithms=["ES256"], key=EC.pem), EC.sign()),
    ],
    ids=["HS256", "RS256", "ES256"],
)
async def test_e2_a_good_token_names_its_client(authenticator: JWTAuthenticator, token: str) -> None:
    assert (await who(authenticator, token)).uuid == "ann"


async def test_e2_claims_become_metadata_and_one_that_is_missing_takes_the_place_of_what_a_client_says() -> None:
    identity = await who(by_secret(claims=["role", "team"], leeway=10), signed(role="admin", seconds=100))
    assert identity.claims == {"role": "admin", "team": None}
    claims = jwt.decode(signed(seconds=100), SECRET, ["HS256"])
    assert identity.expires_at == pytest.approx(claims["exp"] + 10, abs=2)
    assert identity.issued_at == pytest.approx(claims["iat"], abs=2)


async def test_a_token_need_not_name_a_client() -> None:
    assert (await who(by_secret(client=None), signed(sub=None))).uuid is None


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (None, "a token is needed"),
        ("", "a token is needed"),
        ("nonsense", "can't be read"),
        ("a.b.c", "can't be read"),
        ("é.é.é", "can't be read"),
        ("x" * 8193, "at most 8192"),
        (signed(secret="another secret, that is long enough too"), "signature is wrong"),
        (signed(seconds=-60), "run out"),
        (signed(exp=None), "has no exp"),
        (signed(age=-600), "not valid yet"),
        (signed(aud="somebody"), "somebody else"),
        (signed(sub=None), "must be a client"),
        (signed(client="a b"), "must be a client"),
        (signed(client="x" * 129), "must be a client"),
        (signed(exp=float("inf")), "can't be read"),
        (f"{part({'alg': 'none'})}.{part(claims_of())}.", "algorithm is not allowed"),
        (f"{part({'alg': 'None', 'typ': 'JWT'})}.{part(claims_of())}.", "algorithm is not allowed"),
        (RSA.sign(), "algorithm is not allowed"),
        (jwt.encode(claims_of(), SECRET + SECRET, "HS512"), "algorithm is not allowed"),
    ],
    # A token is another one in each process, and pytest names a test by a text that is not too long.
    ids=lambda value: "token" if len(value or "") > 40 else None,
)
async def test_e2_any_other_is_refused_and_never_repeated(token: str | None, why: str) -> None:
    assert why in await refused(by_secret(), token)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://login.example.com/"}, "has no aud"),
        ({"iss": "https://login.example.com/", "aud": "game"}, "(aud)"),
        ({"aud": "chat"}, "has no iss"),
        ({"aud": "chat", "iss": "https://example.com/"}, "(iss)"),
    ],
)
async def test_e2_audience_and_issuer_are_required_where_they_are_given(claims: dict[str, str], why: str) -> None:
    authenticator = by_secret(audience="chat", issuer="https://login.example.com/")
    assert why in await refused(authenticator, signed(**claims))
    good = signed(aud=["chat", "game"], iss="https://login.example.com/")
    assert (await who(authenticator, good)).uuid == "ann"


async def test_e2_a_public_key_is_no_shared_secret() -> None:
    """RFC 8725, section 2.1: who knows the public key would sign with it."""
    head, body = part({"alg": "HS256", "typ": "JWT"}), part(claims_of())
    seal = hmac.new(RSA.pem.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"
    assert "algorithm" in await refused(JWTAuthenticator(algorithms=["RS256"], key=RSA.pem), forged)
    with serving(RSA) as issuer:
        assert "algorithm" in await refused(JWTAuthenticator(algorithms=["RS256"], jwks=issuer.url), forged)


@pytest.mark.parametrize(
    "options",
    [
        {"algorithms": [], "key": SECRET},
        {"algorithms": "HS256", "key": SECRET},
        {"algorithms": ["none"], "key": SECRET},
        {"algorithms": ["HS256", "none"], "key": SECRET},
        {"algorithms": ["HS256", "RS256"], "jwks": "keys.json"},
        {"algorithms": ["HS256"], "key": "too short"},
        {"algorithms": ["HS256"], "key": RSA.pem},
        {"algorithms": ["RS256"], "key": SECRET},
        {"algorithms": ["RS256"], "key": EC.pem},
        {"algorithms": ["RS256"]},
        {"algorithms": ["RS256"], "key": RSA.pem, "jwks": "keys.json"},
        {"algorithms": ["RS256"], "jwks": "ftp://login.example.com/keys"},
        {"algorithms": ["RS256"], "jwks": "file:///etc/keys.json"},
        {
            "algorithms": ["RS256"],
            "key": RSA.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        },
    ],
)
def test_e2_what_can_only_be_a_mistake_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own text
        JWTAuthenticator(**options)


def test_the_token_of_a_request_is_in_its_header_or_its_address() -> None:
    assert bearer({"authorization": "Bearer abc"}, {"token": "def"}) == "abc"
    assert bearer({"authorization": "bearer  abc "}, {}) == "abc"
    assert bearer({"authorization": "Basic abc"}, {"token": "def"}) == "def"
    assert bearer({}, {}) is None


def test_o7_a_request_does_not_show_its_secrets() -> None:
    request = asking("s3cret", headers={"authorization": "Bearer s3cret"}, query={"token": "s3cret"})
    assert "s3cret" not in repr(request)


# --- key sets ----------------------------------------------------------------


async def test_e2_keys_come_from_a_url_once_and_are_kept() -> None:
    with serving(RSA, EC) as issuer:
        authenticator = JWTAuthenticator(algorithms=["RS256", "ES256"], jwks=issuer.url)
        for _ in range(3):
            assert (await who(authenticator, RSA.sign())).uuid == "ann"
            assert (await who(authenticator, EC.sign())).uuid == "ann"
        assert issuer.asked == 1


async def test_e2_keys_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    authenticator = JWTAuthenticator(algorithms=["RS256"], jwks=path, cooldown=0)
    with pytest.raises(AuthenticationUnavailable):
        await who(authenticator, RSA.sign())
    path.write_text(json.dumps({"keys": [RSA.jwk, {"kty": "new"}, "nonsense", {**EC.jwk, "use": "enc"}]}))
    assert (await who(authenticator, RSA.sign())).uuid == "ann"


async def test_e2_a_new_key_is_found_when_a_token_names_it() -> None:
    with serving(RSA) as issuer:
        authenticator = JWTAuthenticator(algorithms=["RS256"], jwks=issuer.url, cooldown=0)
        await who(authenticator, RSA.sign())
        issuer.keys = [OTHER]
        assert (await who(authenticator, OTHER.sign())).uuid == "ann"
        assert "key is not known" in await refused(authenticator, RSA.sign())


async def test_e2_unknown_keys_do_not_make_it_ask_again_and_again() -> None:
    with serving(RSA) as issuer:
        authenticator = JWTAuthenticator(algorithms=["RS256"], jwks=issuer.url, cooldown=60)
        await who(authenticator, RSA.sign())
        for number in range(20):
            forged = jwt.encode(claims_of(), OTHER.private, "RS256", headers={"kid": f"k{number}"})
            assert "key is not known" in await refused(authenticator, forged)
        assert issuer.asked == 1
        assert (await who(authenticator, RSA.sign())).uuid == "ann"


@pytest.mark.parametrize(
    ("status", "answer"),
    [(500, None), (302, None), (200, b"no json"), (200, b"{}"), (200, b'{"keys": []}'), (200, b"x" * (2 << 20))],
)
async def test_e2_while_keys_cannot_be_read_the_last_ones_count(status: int, answer: bytes | None) -> None:
    with serving(RSA) as issuer:
        authenticator = JWTAuthenticator(algorithms=["RS256"], jwks=issuer.url, refresh=0, cooldown=0)
        await who(authenticator, RSA.sign())
        issuer.status, issuer.answer = status, answer
        for before in range(issuer.asked, issuer.asked + 3):

            async def asked_again(before: int = before) -> bool:
                """Who asks while the keys are being read asks for them no second time."""
                assert (await who(authenticator, RSA.sign())).uuid == "ann"
                return issuer.asked > before

            await eventually(asked_again)
        issuer.status, issuer.answer, issuer.keys = 200, None, [OTHER]

        async def follows() -> bool:
            try:
                return (await who(authenticator, OTHER.sign())).uuid == "ann"
            except Unauthorised:
                return False

        await eventually(follows)


async def test_e2_a_redirection_does_not_choose_the_keys() -> None:
    with serving(RSA) as issuer:
        issuer.status, issuer.elsewhere = 302, OTHER
        authenticator = JWTAuthenticator(algorithms=["RS256"], jwks=issuer.url, cooldown=0)
        with pytest.raises(AuthenticationUnavailable):
            await who(authenticator, OTHER.sign())


async def test_e2_without_any_keys_nobody_is_let_in_and_nobody_is_told_to_stay_away() -> None:
    with serving(RSA) as issuer:
        issuer.status = 503
        authenticator = JWTAuthenticator(algorithms=["RS256"], jwks=issuer.url, cooldown=0)
        with pytest.raises(AuthenticationUnavailable):
            await who(authenticator, RSA.sign())
        issuer.status = 200
        assert (await who(authenticator, RSA.sign())).uuid == "ann"


async def test_e2_a_token_without_a_key_id_is_for_the_only_key_there_is() -> None:
    token = jwt.encode(claims_of(), RSA.private, "RS256")
    with serving(RSA, EC) as issuer:
        authenticator = JWTAuthenticator(algorithms=["RS256"], jwks=issuer.url, cooldown=0)
        assert (await who(authenticator, token)).uuid == "ann"
        issuer.keys = [RSA, OTHER]
        authenticator = JWTAuthenticator(algorithms=["RS256"], jwks=issuer.url)
        assert "key is not known" in await refused(authenticator, token)


async def test_e2_a_key_counts_for_its_own_algorithm_only() -> None:
    """RFC 8725, section 3.1."""
    token = jwt.encode(claims_of(), RSA.private, "RS512", headers={"kid": "r1"})
    with serving(RSA) as issuer:
        authenticator = JWTAuthenticator(algorithms=["RS256", "RS512"], jwks=issuer.url)
        assert "key is not known" in await refused(authenticator, token)


async def test_e2_a_secret_in_a_set_must_be_long_enough() -> None:
    with serving() as issuer:
        issuer.answer = json.dumps({"keys": [{"kty": "oct", "kid": "s", "k": "c2hvcnQ"}]}).encode()
        authenticator = JWTAuthenticator(algorithms=["HS256"], jwks=issuer.url)
        head, body = part({"alg": "HS256", "kid": "s"}), part(claims_of())
        seal = hmac.new(b"short", f"{head}.{body}".encode(), hashlib.sha256).digest()
        token = f"{head}.{body}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"
        assert "can't be read" in await refused(authenticator, token)
