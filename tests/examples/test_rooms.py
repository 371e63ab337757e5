"""The chat's own data in Redis."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from endpoints import StubEndpoint
from examples.chat import rooms as module
from examples.chat.payloads import Line
from examples.chat.rooms import Rooms
from gobroke_dist import Broke, Settings


@pytest.fixture
def rooms(redis_url: str, prefix: str) -> Rooms:
    """Rooms that no other test has."""
    return Rooms(Broke(StubEndpoint(), settings=Settings(redis_url=redis_url, prefix=prefix)))


def line(uuid: str, text: str = "hello") -> Line:
    """Something that Ann said."""
    return Line(uuid=uuid, client="ann", name="Ann", text=text, node="edge-1", at=datetime.now(UTC))


def test_a_line_is_numbered_once_however_often_its_handler_runs(rooms: Rooms) -> None:
    """A second run, with another time and node in it, gets the first one's number and line."""
    first = rooms.number("lobby", line("a"))
    second = rooms.number("lobby", line("b"))
    again = rooms.number("lobby", line("a", "something else"))
    assert (first.number, second.number) == (1, 2)
    assert again == first


def test_only_the_last_lines_are_kept_and_numbers_go_on(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """History and uuids are bounded."""
    monkeypatch.setattr(module, "KEEP_LINES", 3)
    for turn in range(1, 11):
        rooms.number("lobby", line(f"uuid-{turn}"))
    kept = rooms.history("lobby", after=0)
    assert [one.number for one in kept] == [8, 9, 10]
    assert rooms.store.hkeys(rooms._key("numbers", "lobby")) == ["uuid-8", "uuid-9", "uuid-10"]


def test_rooms_number_on_their_own(rooms: Rooms) -> None:
    """Each room starts at 1."""
    assert [rooms.number(name, line(name)).number for name in ("red", "blue", "red-2")] == [1, 1, 1]
