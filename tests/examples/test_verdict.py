"""The check can fail: each fault that it looks for, as a table."""

from __future__ import annotations

import pytest

from examples.demo.verdict import Kind, Received, Sent, judge

MEMBERS = {"red": frozenset({"ann", "ben"})}
SENT = [Sent(f"a{n}", "red", "ann", n, at=float(n)) for n in (1, 2, 3)] + [Sent("b1", "red", "ben", 1, at=1.5)]
NUMBERS = {"a1": 1, "b1": 2, "a2": 3, "a3": 4}


def arrived(receiver: str, uuids: str, numbers: dict[str, int] = NUMBERS) -> list[Received]:
    """Deliveries to one receiver, in this order, each one a millisecond after it was sent."""
    sent_at = {message.uuid: message.at for message in SENT}
    return [Received(uuid, "red", numbers[uuid], receiver, sent_at.get(uuid, 0) + 0.001) for uuid in uuids.split()]


@pytest.mark.parametrize(
    ("received", "faults"),
    [
        pytest.param(arrived("ann", "a1 b1 a2 a3") + arrived("ben", "a1 b1 a2 a3"), {}, id="all in order"),
        pytest.param(arrived("ann", "a1 b1 a2 a3"), {Kind.LOST: 4}, id="one member got nothing"),
        pytest.param(
            arrived("ann", "a1 b1 a3") + arrived("ben", "a1 b1 a2 a3"), {Kind.LOST: 1}, id="one lost on the way"
        ),
        pytest.param(
            arrived("ann", "a1 b1 a3") + arrived("ben", "a1 b1 a3"),
            {Kind.LOST: 2, Kind.MISNUMBERED: 1},
            id="numbered and never sent: lost to both, and a number that nobody saw",
        ),
        pytest.param(
            arrived("ann", "a1 b1 a2 a2 a3") + arrived("ben", "a1 b1 a2 a3"), {Kind.DUPLICATED: 1}, id="twice in a row"
        ),
        pytest.param(
            arrived("ann", "a1 b1 a2 a3 a1") + arrived("ben", "a1 b1 a2 a3"),
            {Kind.DUPLICATED: 1},
            id="once more at the end is a duplicate, not out of order as well",
        ),
        pytest.param(
            arrived("ann", "a1 a2 b1 a3") + arrived("ben", "a1 b1 a2 a3"),
            {Kind.OUT_OF_ORDER: 1},
            id="arrived against its number",
        ),
        pytest.param(
            arrived("ann", "a2 b1 a1 a3", {"a2": 1, "b1": 2, "a1": 3, "a3": 4})
            + arrived("ben", "a2 b1 a1 a3", {"a2": 1, "b1": 2, "a1": 3, "a3": 4}),
            {Kind.OUT_OF_ORDER: 2},
            id="numbered against the order of its sender",
        ),
        pytest.param(
            arrived("ann", "a1 b1 a2 a3") + arrived("ben", "a1 b1 a2 a3", NUMBERS | {"a3": 5}),
            {Kind.MISNUMBERED: 1},
            id="two numbers for one message",
        ),
        pytest.param(
            arrived("ann", "a1 b1 a2 a3", NUMBERS | {"a3": 3}) + arrived("ben", "a1 b1 a2 a3", NUMBERS | {"a3": 3}),
            {Kind.MISNUMBERED: 2},
            id="two messages under one number",
        ),
        pytest.param(
            arrived("ann", "a1 b1 a2 a3 x", NUMBERS | {"x": 5}) + arrived("ben", "a1 b1 a2 a3"),
            {Kind.MISNUMBERED: 1},
            id="something that nobody sent",
        ),
        pytest.param([], {Kind.LOST: 8}, id="nothing arrived"),
    ],
)
def test_every_fault_is_found_and_counted_once(received: list[Received], faults: dict[Kind, int]) -> None:
    """Each way in which deliveries can be wrong is a fault of its kind, and only of that kind."""
    verdict = judge(SENT, received, MEMBERS)
    assert {kind: verdict.count(kind) for kind in Kind if verdict.count(kind)} == faults
    assert verdict.good is (not faults)


def test_a_run_without_messages_is_not_good() -> None:
    """A check that sent nothing has shown nothing."""
    assert not judge([], [], {}).good


def test_a_fault_names_message_key_and_receiver() -> None:
    """Who reads the report knows where to look."""
    (fault,) = judge(SENT, arrived("ann", "a1 b1 a3") + arrived("ben", "a1 b1 a2 a3"), MEMBERS).faults
    assert (fault.room, fault.receiver) == ("red", "ann")
    assert "message 2 of ann (a2)" in fault.text


def test_latencies_are_nearest_ranks_in_milliseconds() -> None:
    """The percentiles are values that were measured, not interpolations."""
    sent = [Sent(str(n), "red", "ann", n, at=0.0) for n in range(1, 101)]
    received = [Received(str(n), "red", n, "ann", at=n / 1000) for n in range(1, 101)]
    latency = judge(sent, received, {"red": frozenset({"ann"})}).latency
    assert latency is not None
    assert [round(value) for value in (latency.p50, latency.p95, latency.p99, latency.max)] == [50, 95, 99, 100]


def test_takeovers_are_counted_by_message() -> None:
    """A message that many received was handled again once."""
    received = [
        Received("a1", "red", 1, receiver, 1.1, worker="w2", attempt=2, recovered=True) for receiver in ("ann", "ben")
    ]
    verdict = judge(SENT[:1], received, MEMBERS)
    assert (verdict.again, verdict.recovered, verdict.by_worker) == (1, 1, {"w2": 1})


def test_calm_latency_leaves_out_what_was_due_after_the_disturbance() -> None:
    """The kill does not hide how the cluster does without one."""
    received = [
        Received(one.uuid, "red", NUMBERS[one.uuid], "ann", one.at + (1 if one.at > 1.9 else 0.01)) for one in SENT
    ]
    verdict = judge(SENT, received, {"red": frozenset({"ann"})}, disturbed_at=2.0)
    assert verdict.latency is not None
    assert verdict.calm_latency is not None
    assert (round(verdict.calm_latency.max), round(verdict.latency.max)) == (10, 1000)
