"""The clients that make the load: frames, stamps, dialects and pace."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from pathlib import Path

import pytest

from tests.bench.cluster.load.dialects import DIALECTS
from tests.bench.cluster.load.frames import PING, TEXT, masked, split
from tests.bench.cluster.load.heard import Heard, Tally
from tests.bench.cluster.load.pacing import paced, windowed
from tests.bench.cluster.load.stamps import PAYLOAD, Stamped, read
from tests.bench.cluster.load.stamps import TEXT as PAYLOAD_TEXT


def _from_server(payload: bytes, opcode: int = TEXT) -> bytes:
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, len(payload)) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, len(payload)) + payload


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_servers_frame_of_any_length_is_read(size: int) -> None:
    """With each of the three forms of its length."""
    assert split(_from_server(b"x" * size) + b"\x81") == ([(TEXT, b"x" * size)], b"\x81")


@pytest.mark.parametrize("size", [10, 200, 70_000])
def test_a_frame_in_portions_waits_for_the_rest(size: int) -> None:
    """However it is cut."""
    frame = _from_server(b"x" * size)
    for cut in (1, 2, 3, 5, 9, len(frame) - 1):
        assert split(frame[:cut]) == ([], frame[:cut])


def test_several_frames_come_in_their_order() -> None:
    """In one read."""
    frames, rest = split(_from_server(b"one") + _from_server(b"", PING) + _from_server(b"two"))
    assert frames == [(TEXT, b"one"), (PING, b""), (TEXT, b"two")]
    assert rest == b""


@pytest.mark.parametrize("size", [3, 300])
def test_a_clients_frame_is_masked_with_zeros(size: int) -> None:
    """So its payload stands in it as it is, after a mask of four bytes."""
    frame = masked(b"y" * size)
    assert frame[1] & 0x80
    assert frame.endswith(bytes(4) + b"y" * size)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stamp_is_found_in_what_each_dialect_sends(name: str) -> None:
    """And the frame has the length that its header says."""
    message = Stamped(DIALECTS[name]().to_one("somebody", PAYLOAD_TEXT))
    wire = message.at(123_456_789)
    assert read(wire) == 123_456_789
    assert len(wire) == len(masked(DIALECTS[name]().to_one("somebody", PAYLOAD_TEXT)))


def test_a_payload_has_its_length_whenever_it_is_stamped() -> None:
    """The stamp is part of it."""
    assert len(PAYLOAD_TEXT) == PAYLOAD
    assert json.loads(Stamped(DIALECTS["channels"]().to_one("c", PAYLOAD_TEXT)).at(7)[6:])[1].startswith("@0")


@pytest.mark.parametrize("frame", [b"", b"2", b'{"type":"error","text":"no @ client"}', b"@123@"])
def test_what_is_no_message_has_no_stamp(frame: bytes) -> None:
    """Heartbeats, errors, and text with the mark in it."""
    assert read(frame) is None


def test_a_client_of_socket_io_joins_and_answers_heartbeats() -> None:
    """Open, connect, then ping and pong."""
    dialect = DIALECTS["socketio"]()
    assert dialect.greeted(b'0{"sid":"e","pingInterval":25000}') == ("", b"40")
    assert dialect.greeted(b'40{"sid":"abc"}') == ("abc", b"")
    assert dialect.answer(b"2") == b"3"
    assert dialect.answer(b"41") is None


def test_a_greeting_that_is_none_is_an_error() -> None:
    """So that a refused client does not count as connected."""
    with pytest.raises((KeyError, ValueError)):
        DIALECTS["gobroke"]().greeted(b'{"type":"error","code":"unavailable","text":"no"}')


def test_what_was_heard_is_counted_for_another_process(tmp_path: Path) -> None:
    """And forgotten there as well."""
    heard, other = Heard(), Tally(str(tmp_path / "tally"))
    other.write(7)
    heard.count_in(str(tmp_path / "tally"))
    assert other.read() == 0
    heard.note(time.monotonic_ns())
    assert (len(heard.ages), other.read()) == (1, 1)
    heard.forget()
    assert (len(heard.ages), other.read()) == (0, 0)


async def test_an_even_pace_catches_up_with_what_is_late() -> None:
    """All are sent, in their order, in about the time that it takes."""
    sent: list[int] = []

    def send(number: int) -> None:
        if number == 3:
            time.sleep(0.02)
        sent.append(number)

    started = time.monotonic()
    assert await paced(send, 500, 0.1) == 50
    assert sent == list(range(50))
    assert time.monotonic() - started >= 0.097


async def test_never_more_than_the_window_is_under_way(tmp_path: Path) -> None:
    """What arrives makes room for as many."""
    arrived, sent = Tally(str(tmp_path / "tally")), 0

    def send(number: int) -> None:
        nonlocal sent
        sent = number + 1
        assert sent - arrived.read() <= 10

    async def arrive() -> None:
        while True:
            arrived.write(sent)
            await asyncio.sleep(0.001)

    arriving = asyncio.create_task(arrive())
    assert await windowed(send, 10, 0.1, arrived) == sent > 10
    arriving.cancel()
