"""A session in every state, and its bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gobroke_dist.client import Client
from gobroke_dist.session import CloseCode, OutboxLimits, Recovery, Session, SessionState, SlowConsumers
from gobroke_dist.wire.frame import JSONProtocol, RawProtocol

CONNECTING, OPEN, CLOSING, CLOSED = SessionState


class Made:
    """A session in a given state, and how often it woke its endpoint."""

    def __init__(self, state: SessionState = OPEN, *, frames: int = 3, limit: int = 100) -> None:
        self.woken = 0
        self.session = Session(Client(), RawProtocol("x"), OutboxLimits(frames, limit), self.wake)
        if state is not CONNECTING:
            self.session.opened()
        if state in (CLOSING, CLOSED):
            self.session.close(CloseCode.NORMAL, "first")
        if state is CLOSED:
            self.session.closed()
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


TRANSITIONS: list[tuple[SessionState, Callable[[Session], object], SessionState, int]] = [
    # from, call, to, how often the endpoint is woken
    (CONNECTING, lambda s: s.opened(), OPEN, 0),
    (CONNECTING, lambda s: s.push(b"x"), CONNECTING, 0),
    (CONNECTING, lambda s: (s.push(b"x"), s.opened()), OPEN, 1),
    (CONNECTING, lambda s: s.close(CloseCode.REFUSED), CLOSING, 1),
    (CONNECTING, lambda s: s.closed(), CLOSED, 0),
    (OPEN, lambda s: s.push(b"x"), OPEN, 1),
    (OPEN, lambda s: s.close(CloseCode.REMOVED), CLOSING, 1),
    (OPEN, lambda s: s.closed(), CLOSED, 0),
    (CLOSING, lambda s: s.opened(), CLOSING, 0),
    (CLOSING, lambda s: s.push(b"x"), CLOSING, 0),
    (CLOSING, lambda s: s.close(CloseCode.REMOVED), CLOSING, 0),
    (CLOSING, lambda s: s.closed(), CLOSED, 0),
    (CLOSED, lambda s: s.opened(), CLOSED, 0),
    (CLOSED, lambda s: s.push(b"x"), CLOSED, 0),
    (CLOSED, lambda s: s.close(CloseCode.REMOVED), CLOSED, 0),
    (CLOSED, lambda s: s.closed(), CLOSED, 0),
]


@pytest.mark.parametrize(("start", "call", "end", "woken"), TRANSITIONS)
def test_each_call_in_each_state(
    start: SessionState, call: Callable[[Session], object], end: SessionState, woken: int
) -> None:
    made = Made(start)
    call(made.session)
    assert (made.session.state, made.woken) == (end, woken)
    assert made.session.ending is (end in (CLOSING, CLOSED))


def test_frames_are_kept_back_until_the_session_is_open() -> None:
    """A client that is refused gets no frame; one that is let in gets what came meanwhile, in order."""
    let_in, refused = Made(CONNECTING).session, Made(CONNECTING).session
    for session in (let_in, refused):
        assert session.push(b"welcome")
        assert session.take() == []
    let_in.opened()
    refused.close(CloseCode.ALREADY_CONNECTED)
    assert (let_in.take(), refused.take()) == ([b"welcome"], [])


def test_a_session_opens_once() -> None:
    with pytest.raises(RuntimeError, match="open already"):
        Made(OPEN).session.opened()


def test_a_session_names_itself_on_its_client() -> None:
    session = Made().session
    assert session.client.session == session.id


def test_r5_frames_are_taken_in_the_order_pushed() -> None:
    session = Made(CONNECTING).session
    assert session.push(b"welcome")
    session.opened()
    assert session.push(b"1")
    assert session.take() == [b"welcome", b"1"]
    assert session.take() == []


@pytest.mark.parametrize(("budget", "taken"), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (None, 3)])
def test_a_budget_takes_whole_frames_and_at_least_one(budget: int | None, taken: int) -> None:
    session = Made().session
    for _ in range(3):
        session.push(b"xx")
    assert len(session.take(budget)) == taken
    assert session.pending == 3 - taken


@pytest.mark.parametrize(("size", "fits"), [(1, 3), (40, 2), (100, 1), (1000, 1)])
def test_e4_a_full_outbox_asks_for_the_close_and_is_dropped(size: int, fits: int) -> None:
    made = Made(frames=3, limit=100)
    assert [made.session.push(b"x" * size) for _ in range(fits)] == [True] * fits
    assert not made.session.push(b"x" * size)
    assert (made.session.state, made.session.close_code) == (CLOSING, CloseCode.SLOW_CONSUMER)
    assert f"{fits} frames ({fits * size} bytes)" in made.session.close_reason
    assert made.session.take() == []


def test_e4_what_was_taken_makes_room() -> None:
    session = Made(frames=3, limit=100).session
    for _ in range(50):
        assert session.push(b"x" * 60)
        assert session.take(0) == [b"x" * 60]


def test_what_is_queued_may_still_be_written_before_a_close() -> None:
    session = Made().session
    session.push(b"last words")
    session.close(CloseCode.REMOVED, "removed")
    assert session.take() == [b"last words"]


def test_a_connection_that_is_gone_has_nothing_to_write() -> None:
    session = Made().session
    session.push(b"x")
    session.closed()
    assert session.take() == []


def test_the_first_close_wins() -> None:
    session = Made(CLOSING).session
    session.close(CloseCode.REMOVED, "second")
    assert (session.close_code, session.close_reason) == (CloseCode.NORMAL, "first")


def test_e5_close_codes_tell_whether_to_come_back() -> None:
    again = {code.name for code in CloseCode if 4000 <= code < 4500}
    never = {code.name for code in CloseCode if 4500 <= code < 5000}
    assert again == {
        *("PING_TIMEOUT", "SLOW_CONSUMER", "UNAVAILABLE", "RECOVERY_LOST"),
        *("TOKEN_EXPIRED", "TOO_FAST", "TOO_MANY", "IDLE"),
    }
    assert never == {"REMOVED", "ALREADY_CONNECTED", "REFUSED", "REPLACED", "UNAUTHORISED", "REVOKED"}


def _dropping(when_full: SlowConsumers, recovery: Recovery | None = None) -> tuple[Session, list[tuple[str, int]]]:
    """A session whose welcome was taken, with room for three frames; and what it has dropped."""
    session = Session(Client(), JSONProtocol(), OutboxLimits(3, 100, when_full), lambda: None, recovery)
    dropped: list[tuple[str, int]] = []
    session.on_drop = lambda reason, frames: dropped.append((reason, frames))
    if recovery is None:
        session.push(b"welcome")
    else:
        session.begin(5, [b"welcome", b"missed"])
    session.opened()
    return session, dropped


def _gap(frames: int) -> bytes:
    return JSONProtocol().encode_gap(frames)


@pytest.mark.parametrize("budget", [None, 1 << 20])
def test_e4_the_oldest_are_dropped_and_a_gap_stands_in_their_place(budget: int | None) -> None:
    session, dropped = _dropping("drop_oldest")
    session.take()
    assert all(session.push(b"%d" % n) for n in range(5))
    assert (session.take(budget), dropped) == ([_gap(2), b"2", b"3", b"4"], [("dropped_oldest", 1)] * 2)
    session.push(b"5")
    assert session.take(budget) == [b"5"]  # told once
    assert session.state is OPEN


@pytest.mark.parametrize("budget", [None, 1 << 20])
def test_e4_the_newest_are_dropped_and_a_gap_stands_in_their_place(budget: int | None) -> None:
    session, dropped = _dropping("drop_newest")
    session.take()
    assert [session.push(b"%d" % n) for n in range(5)] == [True] * 3 + [False] * 2
    assert session.take(1) == [b"0"]
    session.push(b"5")
    assert session.push(b"6") is False
    assert session.take(budget) == [b"1", b"2", _gap(2), b"5", _gap(1)]
    assert dropped == [("dropped_newest", 1)] * 3
    assert session.take(budget) == []


def test_e4_a_large_frame_drives_out_as_many_as_it_needs_room() -> None:
    session, dropped = _dropping("drop_oldest")
    session.take()
    for frame in (b"a" * 40, b"b" * 40, b"c" * 70):
        session.push(frame)
    assert (session.take(), dropped) == ([_gap(2), b"c" * 70], [("dropped_oldest", 2)])


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest"])
def test_e4_c7_of_what_a_client_has_missed_nothing_is_dropped(when_full: SlowConsumers) -> None:
    """It was promised all of it: it is closed, and may come back."""
    session, dropped = _dropping(when_full, Recovery())
    for number in range(6, 10):
        session.push_numbered(number, b"%d" % number)
    assert (session.close_code, dropped) == (CloseCode.SLOW_CONSUMER, [])
