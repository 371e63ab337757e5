"""Datagrams without a socket: what is read, what is believed, and how much it answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from endpoints.datagram import Cookies, Greeting, Kind, Seal, Sealed, cookie_for, read

NONCE = bytes(range(16))


@given(st.binary() | st.binary().map(lambda rest: b"GB\x01" + rest))
def test_e1_e8_any_bytes_are_a_datagram_or_nothing_and_a_cookie_is_smaller_than_what_asks_for_it(data: bytes) -> None:
    came = read(data)
    if isinstance(came, Greeting):
        assert len(cookie_for(came, bytes(16))) < len(data)


def test_e1_a_cookie_is_good_at_its_address_for_its_time_alone() -> None:
    cookies = Cookies(10, 0)
    shown = Greeting(NONCE, cookies.bake("192.0.2.1 5", NONCE, 1))
    assert cookies.good(shown, "192.0.2.1 5", 11)
    assert not cookies.good(shown, "192.0.2.1 6", 11)
    assert not cookies.good(Greeting(bytes(16), shown.cookie), "192.0.2.1 5", 11)
    assert not cookies.good(shown, "192.0.2.1 5", 22)


@given(st.binary(max_size=100))
def test_e1_what_the_node_made_does_not_come_back_as_the_clients(body: bytes) -> None:
    """A datagram that is reflected has the key of the other direction."""
    seal = Seal(Greeting(NONCE, bytes(16)), b"12345678")
    made = seal.pack(Kind.FRAME, body)
    came = read(made)
    assert isinstance(came, Sealed)
    assert (came.body, came.number) == (body, 1)
    assert not seal.opens(came)
