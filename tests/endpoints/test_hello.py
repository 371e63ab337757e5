"""A first frame, and who it makes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints import hello as hello_module
from endpoints.hello import MAX_METADATA, MAX_METADATA_SIZE, Hello, HelloRefused, introduced
from gobroke_dist.session import Recovery


def read_hello(frame: bytes) -> Hello:
    return hello_module.read_hello(frame, transport="tcp", address="192.0.2.7")


def test_e1_the_same_facts_make_the_same_client_in_a_query_and_in_a_frame() -> None:
    query = [("client", "ann"), ("session", "a.b"), ("offset", "44"), ("room", "blue"), ("n", "7"), ("fast", "1")]
    frame = {"client": "ann", "session": "a.b", "offset": 44, "room": "blue", "n": 7, "fast": True, "slow": False}
    for hello in (introduced(query, transport="websocket"), read_hello(json.dumps(frame).encode())):
        assert hello.client.uuid == "ann"
        assert hello.client.metadata == {"room": "blue", "n": "7", "fast": "1"}
        assert hello.recovery == Recovery("a.b", 44)


def test_e2_an_authenticator_sees_what_a_hello_says_and_its_token_is_no_fact_about_the_client() -> None:
    hello = read_hello(b'{"client": "ann", "token": "a.b.c", "room": "blue"}')
    asked = hello.asked
    assert (asked.transport, asked.address, asked.client, asked.token) == ("tcp", "192.0.2.7", "ann", "a.b.c")
    assert hello.client.metadata == {"room": "blue"}


def test_e1_an_empty_hello_is_a_client_with_a_uuid_of_its_own() -> None:
    one, other = read_hello(b"{}"), read_hello(b" { } ")
    assert one.client.uuid != other.client.uuid
    assert one.recovery is None


@pytest.mark.parametrize(("recover", "recovery"), [(True, Recovery()), ("1", Recovery()), (False, None)])
def test_c7_a_hello_asks_to_be_let_back_later(recover: object, recovery: Recovery | None) -> None:
    assert read_hello(json.dumps({"recover": recover}).encode()).recovery == recovery


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"GET / HTTP/1.1",
        b'{"client": "ann"',
        b'[["client", "ann"]]',
        b'"ann"',
        b"\xff\xfe{\0}\0",
        b'{"client": "\xff"}',
        b'{"client": "ann", "client": "ben"}',
        b'{"room": "a", "r\\u006fom": "b"}',
        b'{"client": "a b"}',
        b'{"client": null}',
        b'{"client": ["ann"]}',
        b'{"client": {"client": "ann"}}',
        b'{"room": 1.5}',
        b'{"room": NaN}',
        b'{"room": "\\ud800"}',
        b'{"\\ud800": "x"}',
        b'{"offset": ' + b"9" * 5000 + b"}",
        b'{"session": "a.b"}',
        b'{"client": "ann", "session": "a.b"}',
        b'{"client": "ann", "session": "a b", "offset": 1}',
        b'{"client": "ann", "session": "a.b", "offset": -1}',
        b'{"session": "a.b", "offset": 1}',
        b"[" * 10_000,
        json.dumps({f"m{n}": "x" for n in range(MAX_METADATA + 1)}).encode(),
        json.dumps({"m": "x" * MAX_METADATA_SIZE}).encode(),
    ],
)
def test_e8_every_bad_hello_is_refused_with_a_reason(frame: bytes) -> None:
    with pytest.raises(HelloRefused) as caught:
        read_hello(frame)
    str(caught.value).encode()


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda v: st.dictionaries(st.text() | st.sampled_from(["client", "session", "offset", "recover"]), v),
    ).map(lambda v: json.dumps(v).encode())
)
def test_e8_any_bytes_are_a_hello_or_refused(frame: bytes) -> None:
    """Never another exception, and never metadata that can't be said to others."""
    try:
        hello = read_hello(frame)
    except HelloRefused:
        return
    assert isinstance(hello, Hello)
    json.dumps(hello.client.metadata, ensure_ascii=False).encode()
