"""The client's state machine, without a socket: what it does for what comes, and when (contract C7, C11, E5, W12)."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gobroke_dist.connection import (
    BufferFull,
    ConnectionEnded,
    ConnectionLost,
    ConnectionState,
    Ended,
    Gap,
    Lost,
    MessageRefused,
    Opened,
    Options,
    Receipt,
    Received,
    Refused,
    TimedOut,
)
from gobroke_dist.connection.machine import Dial, FetchToken, HangUp, Machine, Settle, Tell, Write
from gobroke_dist.session import CloseCode


def machine(options: Options | None = None, *, chance: float = 1.0) -> Machine:
    return Machine(options or Options(), client="ann", chance=lambda: chance)


def taken(one: Machine) -> list[Any]:
    effects = [effect.event if isinstance(effect, Tell) else effect for effect in one.effects]
    one.effects.clear()
    return effects


def opened(one: Machine, now: float = 0.0, **facts: Any) -> list[Any]:
    """Connected, with what was done since."""
    if one.state is ConnectionState.WAITING:
        one.start(now)
    one.connected(now)
    one.received({"type": "welcome", "client": "ann", "node": "n1", "session": "s", "offset": 0} | facts, now)
    return taken(one)


def sent(effects: list[Any]) -> list[str]:
    return [json.loads(one.text)["uuid"] for one in effects if isinstance(one, Write)]


@pytest.mark.parametrize("code", list(CloseCode))
def test_e5_the_code_says_whether_it_comes_back(code: CloseCode) -> None:
    one = machine()
    opened(one)
    one.broken(code, "", 1000.0)
    again = 4000 <= code < 4500 or code in (CloseCode.GOING_AWAY, CloseCode.INTERNAL_ERROR)
    # Its own last connection is what an edge still knows.
    again = again or code is CloseCode.ALREADY_CONNECTED
    assert one.state is (ConnectionState.WAITING if again else ConnectionState.CLOSED)


def test_c2_a_uuid_that_another_has_ends_it_and_its_own_ghost_does_not_for_a_minute() -> None:
    one = machine(Options(longest_wait=1))
    one.start(0)
    one.broken(4501, "", 0)
    assert one.state is ConnectionState.CLOSED
    two = machine(Options(longest_wait=1))
    opened(two)
    two.broken(None, "", 10)
    two.tick(11)
    two.broken(4501, "", 12)
    assert two.state is ConnectionState.WAITING
    two.tick(80)
    two.broken(4501, "", 80)
    assert two.state is ConnectionState.CLOSED


def test_e7_the_wait_is_doubled_up_to_the_longest_and_is_random_over_all_of_it_behind_the_hint() -> None:
    one, now, waits = machine(Options(first_wait=1, longest_wait=6), chance=0.5), 0.0, []
    one.start(now)
    for _ in range(5):
        one.broken(None, "", now)
        waits += [event.retry_in for event in taken(one) if isinstance(event, Lost)]
        now = one.deadline or 0
        one.tick(now)
    assert waits == [0.5, 1, 2, 3, 3]
    one.broken(None, "", now, retry_after=20)
    assert taken(one)[-1].retry_in == 23


@pytest.mark.parametrize(("hint", "wait"), [(7500, 7.5), (0, 0.0), (10**9, 300.0), (None, 0.5)])
def test_e7_an_edge_that_ends_says_when_to_come_back_and_that_is_when(hint: int | None, wait: float) -> None:
    """In milliseconds, and random already: nothing is added. Only the next wait is meant; it is no failure."""
    one = machine()
    opened(one)
    one.received({"type": "closed", "code": 1001, "reason": "", "retry_after": hint}, 1)
    one.broken(1001, "", 1)
    assert taken(one) == [Lost(1001, "", wait)]
    one.tick(1 + wait)
    one.broken(None, "", 400)
    assert taken(one)[-1] == Lost(None, "", 0.5 if hint is not None else 1.0)


def test_c7_e4_a_gap_is_told_with_the_offset_before_it_and_it_comes_back_with_that() -> None:
    one = machine()
    opened(one)
    one.received({"type": "message", "data": 1, "offset": 5}, 1)
    one.received({"type": "gap", "dropped": 3}, 1)
    one.received({"type": "message", "data": 2, "offset": 9}, 1)
    gap = Gap(dropped=3, offset=5, dialled=1)
    assert gap in taken(one)
    assert one.come_back(gap, 2)
    hung_up, lost = taken(one)
    assert (hung_up, lost.code) == (HangUp(1001), None)
    one.tick(one.deadline or 0)
    assert Dial({"client": "ann", "session": "s", "offset": "5"}) in taken(one)
    assert opened(one, 11, recovered=True, offset=5)[-1] == Opened("ann", "n1", True)
    one.received({"type": "message", "data": 2, "offset": 9}, 12)
    assert [event.data for event in taken(one)] == [2]


def test_c7_a_gap_that_nothing_can_fill_any_more_is_not_tried() -> None:
    """Its offset means nothing after a loss, nor without a session; while it waits, the next try shows it."""
    without = machine(Options(recover=False))
    opened(without, session="")
    assert not without.come_back(Gap(1, 0, 1), 1)
    one = machine()
    opened(one, offset=20)
    one.broken(None, "", 10)
    assert one.come_back(Gap(1, 7, 1), 10)
    one.tick(one.deadline or 0)
    assert Dial({"client": "ann", "session": "s", "offset": "7"}) in taken(one)
    opened(one, 11, recovered=False, offset=30)
    assert not one.come_back(Gap(1, 7, 1), 12)
    assert (one.state, one.offset) == (ConnectionState.OPEN, 30)
    one.close()
    assert not one.come_back(Gap(1, 30, 2), 13)


def test_c7_it_comes_back_with_session_and_largest_offset_and_drops_what_it_has_seen() -> None:
    one = machine()
    assert opened(one, offset=4)[-1] == Opened("ann", "n1", None)
    for offset in (5, 9, 9, 7):
        one.received({"type": "message", "data": offset, "offset": offset}, 1)
    assert [event.data for event in taken(one) if isinstance(event, Received)] == [5, 9]
    one.broken(None, "", 10)
    one.tick(one.deadline or 0)
    assert Dial({"client": "ann", "session": "s", "offset": "9"}) in taken(one)
    assert opened(one, 11, recovered=True, offset=9)[-1] == Opened("ann", "n1", True)
    one.broken(None, "", 20)
    one.tick(one.deadline or 0)
    assert opened(one, 21, recovered=False, offset=3)[-1] == Opened("ann", "n1", False)
    assert one.offset == 3


def test_w12_c11_what_wants_a_receipt_is_written_again_until_it_is_accepted_and_the_rest_is_not() -> None:
    one = machine()
    opened(one)
    for uuid, kind in (("plain", "send"), ("asked", "request"), ("sure", "done"), ("kept", "done")):
        one.put({"data": 1}, uuid, kind=kind, until=100)
    assert sent(taken(one)) == ["plain", "asked", "sure", "kept"]
    one.received({"type": "receipt", "uuid": "kept", "logic": "x", "state": "accepted"}, 1)
    one.broken(None, "", 10)
    (lost,) = [effect for effect in taken(one) if isinstance(effect, Settle)]
    assert (lost.uuid, type(lost.outcome)) == ("asked", ConnectionLost)
    one.put({"data": 2}, "later", kind="send", until=100)
    one.tick(11)
    assert sent(opened(one, 12, recovered=True)) == ["sure", "later"]
    for uuid in ("sure", "kept"):
        one.received({"type": "receipt", "uuid": uuid, "logic": "x", "state": "done"}, 13)
    assert taken(one) == [Settle("sure", Receipt("sure", "done")), Settle("kept", Receipt("kept", "done"))]
    assert one.deadline is None


def test_c11_an_error_that_says_not_now_is_tried_again_and_another_is_the_outcome() -> None:
    one = machine(chance=0.0)
    opened(one)
    one.put({"data": 1}, "m", kind="accepted", until=100)
    one.received({"type": "error", "code": "queue_full", "text": "", "uuid": "m"}, 5)
    taken(one)
    one.tick(5.5)
    assert taken(one) == []
    one.tick(6)
    assert sent(taken(one)) == ["m"]
    one.received({"type": "error", "code": "payload_invalid", "text": "no", "uuid": "m", "field": "x"}, 7)
    (settled,) = taken(one)
    assert isinstance(settled.outcome, MessageRefused)
    one.received({"type": "error", "code": "payload_invalid", "text": "no", "uuid": "z"}, 7)
    assert taken(one) == [Refused("payload_invalid", "no", "z", None)]


def test_c11_nothing_comes_in_time() -> None:
    one = machine()
    opened(one)
    one.put({"data": 1}, "m", kind="request", until=5)
    taken(one)
    assert one.deadline == 5
    one.tick(5)
    (settled,) = taken(one)
    assert isinstance(settled.outcome, TimedOut)


def test_what_waits_is_bounded_and_nothing_is_thrown_away_for_more() -> None:
    one = machine(Options(max_buffered=2))
    one.start(0)
    one.put({"data": 1}, "a", kind="send", until=9)
    one.put({"data": 1}, "b", kind="send", until=9)
    with pytest.raises(BufferFull):
        one.put({"data": 1}, "c", kind="send", until=9)
    assert sent(opened(one, 1)) == ["a", "b"]
    two = machine(Options(max_buffered_bytes=100))
    two.start(0)
    with pytest.raises(BufferFull):
        two.put({"data": "x" * 100}, "a", kind="send", until=9)


def test_e2_a_token_is_renewed_before_its_end_and_again_after_a_refusal() -> None:
    one = machine(Options(refresh_before=30))
    opened(one)
    one.expires(100, 0)
    assert one.deadline == 70
    one.tick(70)
    assert taken(one) == [FetchToken()]
    one.refresh("new", "t1")
    assert [json.loads(effect.text) for effect in taken(one)] == [{"token": "new", "uuid": "t1"}]
    one.received({"type": "error", "code": "unauthorised", "text": "", "uuid": "t1"}, 71)
    assert (taken(one), one.deadline) == ([], 76)


def test_e6_a_try_without_a_welcome_is_given_up() -> None:
    one = machine(Options(connect_timeout=3))
    one.start(0)
    one.connected(1)
    taken(one)
    one.tick(3)
    assert taken(one)[0] == HangUp(1001)
    assert one.state is ConnectionState.WAITING


def test_closing_settles_all_that_waits() -> None:
    one = machine()
    opened(one)
    one.put({"data": 1}, "m", kind="done", until=9)
    taken(one)
    one.close()
    goodbye, settled, ended = taken(one)
    assert goodbye == HangUp(1000)
    assert isinstance(settled.outcome, ConnectionEnded)
    assert isinstance(ended, Ended)
    with pytest.raises(ConnectionEnded):
        one.put({"data": 1}, "m", kind="done", until=9)


class AnyOrder(RuleBasedStateMachine):
    """C7, C11: offsets grow between gaps that are told, sends and requests are written once, all is settled once."""

    def __init__(self) -> None:
        super().__init__()
        self.one = machine(Options(max_buffered=8))
        self.now = 0.0
        self.kinds: dict[str, str] = {}
        self.written: list[str] = []
        self.settled: list[str] = []
        self.last = 0
        self.one.start(0.0)

    @rule(kind=st.sampled_from(("send", "request", "accepted", "done")))
    def put(self, kind: str) -> None:
        uuid = f"m{len(self.kinds)}"
        with contextlib.suppress(BufferFull):
            self.one.put({"data": 1}, uuid, kind=kind, until=self.now + 60)
            self.kinds[uuid] = kind

    @rule(code=st.sampled_from((None, 1001, 4000, 4002, 4004)))
    def lose(self, code: int | None) -> None:
        self.one.broken(code, "", self.now)

    @precondition(lambda self: self.one.state is ConnectionState.CONNECTING)
    @rule(recovered=st.booleans())
    def open(self, recovered: bool) -> None:
        welcome = {"type": "welcome", "client": "ann", "node": "n", "session": "s", "offset": 0, "recovered": recovered}
        self.one.connected(self.now)
        self.one.received(welcome, self.now)

    @precondition(lambda self: self.kinds)
    @rule(data=st.data(), state=st.sampled_from(("accepted", "done", "dead")))
    def receipt(self, data: st.DataObject, state: str) -> None:
        uuid = data.draw(st.sampled_from(sorted(self.kinds)))
        self.one.received({"type": "receipt", "uuid": uuid, "logic": "x", "state": state}, self.now)

    @precondition(lambda self: self.one.state is ConnectionState.OPEN)
    @rule(offset=st.integers(1, 20))
    def message(self, offset: int) -> None:
        self.one.received({"type": "message", "data": offset, "offset": offset}, self.now)

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.one.tick(self.now)

    @invariant()
    def look(self) -> None:
        for effect in taken(self.one):
            if isinstance(effect, Opened):
                self.last = self.last if effect.recovered else 0
            elif isinstance(effect, Received):
                assert effect.data > self.last
                self.last = effect.data
            elif isinstance(effect, Settle):
                self.settled.append(effect.uuid)
            elif isinstance(effect, Write):
                self.written.append(json.loads(effect.text)["uuid"])

    def teardown(self) -> None:
        self.one.close()
        self.look()
        assert len(self.settled) == len(set(self.settled))
        assert {uuid for uuid, kind in self.kinds.items() if kind != "send"} <= set(self.settled)
        once = [uuid for uuid in self.written if self.kinds[uuid] in ("send", "request")]
        assert len(once) == len(set(once))


TestAnyOrder = AnyOrder.TestCase
