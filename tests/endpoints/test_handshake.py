"""An upgrade request, and who it makes."""

from __future__ import annotations

import pytest

from endpoints.handshake import HandshakeRefused, allowed
from endpoints.websocket_handshake import UpgradeRequest, accept
from gobroke_dist.client import Client

HEADERS = {"host": "a.example:8080", "upgrade": "WebSocket", "connection": "keep-alive, Upgrade"}
HEADERS |= {"sec-websocket-version": "13"}


def upgrade(
    *query: tuple[str, str],
    method: str = "GET",
    version: tuple[int, int] = (1, 1),
    more: tuple[tuple[str, str], ...] = (),
    **changed: str,
) -> Client:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changed.items()}
    given = [(name, value) for name, value in headers.items() if value] + list(more)
    return accept(UpgradeRequest(method, version, given, query), None).client


def refused(*query: tuple[str, str], **changed: object) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as caught:
        upgrade(*query, **changed)  # type: ignore[arg-type]
    return caught.value


def test_a_client_has_the_uuid_it_asks_for_and_its_parameters_as_metadata() -> None:
    client = upgrade(("client", "alice-1.2:3_4"), ("room", "kitchen"), ("lang", "é"))
    assert client.uuid == "alice-1.2:3_4"
    assert client.metadata == {"room": "kitchen", "lang": "é"}


@pytest.mark.parametrize("uuid", ["auth0|6f", "https://id.example/ann", "../../etc/passwd", "*", "a=b&c"])
def test_e2_a_client_may_have_any_uuid_that_an_authenticator_names(uuid: str) -> None:
    """It is a word and nothing else, to Redis as well: no path, no pattern."""
    assert upgrade(("client", uuid)).uuid == uuid


def test_a_client_that_asks_for_none_gets_a_uuid_of_its_own() -> None:
    assert upgrade().uuid != upgrade().uuid


@pytest.mark.parametrize("uuid", ["", "a b", "é", "x" * 129, "a\n", "a\0"])
def test_e8_a_uuid_of_other_characters_is_refused(uuid: str) -> None:
    assert refused(("client", uuid)).status == 400


@pytest.mark.parametrize(
    "query",
    [
        [("client", "a"), ("client", "b")],
        [("room", "a"), ("room", "b")],
        [(f"p{n}", "x") for n in range(33)],
        [("p", "x" * 4097)],
    ],
)
def test_e3_metadata_is_bounded_and_given_once(query: list[tuple[str, str]]) -> None:
    assert refused(*query).status == 400


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"method": "POST"}, 400),
        ({"version": (1, 0)}, 400),
        ({"version": (2, 0)}, 400),
        ({"host": ""}, 400),
        ({"upgrade": ""}, 426),
        ({"upgrade": "h2c"}, 426),
        ({"connection": "keep-alive"}, 426),
        ({"sec_websocket_version": ""}, 426),
        ({"sec_websocket_version": "8"}, 426),
        ({"more": (("sec-websocket-key", "a"), ("sec-websocket-key", "b"))}, 400),
        ({"more": (("origin", "a"), ("origin", "b"))}, 400),
        ({"origin": "https://evil.example"}, 403),
    ],
)
def test_e8_what_is_no_upgrade_gets_its_status(changed: dict[str, object], status: int) -> None:
    assert refused(**changed).status == status


@pytest.mark.parametrize(
    ("origin", "host", "origins", "answer"),
    [
        ("http://a.example:8080", "a.example:8080", None, True),
        ("https://A.example", "a.EXAMPLE", None, True),
        ("https://a.example", "a.example:443", None, True),
        ("http://a.example", "a.example:8080", None, False),
        ("https://b.example", "a.example", None, False),
        ("https://a.example.evil", "a.example", None, False),
        ("null", "a.example", None, False),
        ("", "a.example", None, False),
        ("http://[", "a.example", None, False),
        ("file://", "", None, False),
        ("https://b.example", "a.example", ("https://b.example/",), True),
        ("https://a.example", "a.example", ("https://b.example",), False),
        ("null", "a.example", ("*",), True),
        ("https://a.example", "a.example", (), False),
    ],
)
def test_e2_origins(origin: str, host: str, origins: tuple[str, ...] | None, answer: bool) -> None:
    assert allowed(origin, host, origins) is answer
