"""What the judge calls wrong, and what it does not."""

from __future__ import annotations

import pytest

from tests.chaos.cluster.events import ACCEPTED, EVERYBODY, Ended, Event, Got, Sent, Welcomed
from tests.chaos.cluster.ledger import Kind, Ledger, Open, Span

PEOPLE = ("ann", "ben", "eve")


def sent(number: int, at: float, to: str = "ben", *, outcome: str = ACCEPTED, sender: str = "ann") -> Sent:
    return Sent(sender, number, to, at, at + 0.1, outcome)


def got(number: int, at: float, client: str = "ben", *, new: bool = True, sender: str = "ann") -> Got:
    return Got(client, sender, number, at, new, False)


def welcomed(at: float, *, recovered: bool = True, back: bool = True, client: str = "ben") -> Welcomed:
    return Welcomed(client, at, back, recovered)


FIRST = welcomed(0.0, back=False, recovered=False)
TOLD = welcomed(5.0, recovered=False)


def judged(*events: Event, losses: tuple[float, ...] = (), away: tuple[Span, ...] = ()) -> list[tuple[Kind, str]]:
    ledger = Ledger(PEOPLE)
    ledger.take(events)
    return [(one.kind, one.who) for one in ledger.violations(losses=losses, away=away)]


def test_what_came_once_and_in_order_is_right() -> None:
    assert judged(FIRST, sent(1, 1), got(1, 1.2), sent(2, 2), got(2, 2.2)) == []


def test_what_was_accepted_and_did_not_come_is_lost() -> None:
    assert judged(sent(1, 1)) == [(Kind.LOST, "ben")]


def test_what_was_sent_to_everybody_must_come_to_each() -> None:
    events: list[Event] = [sent(1, 1, EVERYBODY), got(1, 1.2, "ann"), got(1, 1.2, "eve")]
    assert judged(*events) == [(Kind.LOST, "ben")]
    assert judged(*events, got(1, 1.2, "ben")) == []


def test_what_came_before_its_sender_knew_has_come() -> None:
    assert judged(got(1, 1.05), sent(1, 1)) == []


@pytest.mark.parametrize("outcome", ["redis_unavailable", "connection lost", "given up"])
def test_what_was_not_accepted_may_come_or_not_but_not_twice(outcome: str) -> None:
    """Nor does its order count: it may have been under way when its sender went on elsewhere."""
    unsure = sent(1, 1, outcome=outcome)
    assert judged(unsure) == []
    assert judged(unsure, sent(2, 2), got(2, 2.2), got(1, 3)) == []
    assert judged(unsure, got(1, 1.2), got(1, 1.3)) == [(Kind.DUPLICATE, "ben")]


def test_twice_is_a_duplicate_whatever_its_offset() -> None:
    assert judged(sent(1, 1), got(1, 1.2), got(1, 1.3)) == [(Kind.DUPLICATE, "ben")]
    twice = judged(sent(1, 1), got(1, 1.2), got(1, 1.3, new=False))
    assert twice == [(Kind.DUPLICATE, "ben"), (Kind.REPEATED, "ben")]


def test_an_offset_that_the_client_had_passed_is_repeated() -> None:
    assert judged(sent(1, 1), got(1, 1.2, new=False)) == [(Kind.REPEATED, "ben")]


def test_after_a_later_one_of_the_same_sender_is_an_inversion() -> None:
    assert judged(sent(1, 1), sent(2, 2), got(2, 2.2), got(1, 2.3)) == [(Kind.INVERSION, "ben")]


def test_to_everybody_and_to_one_is_one_order() -> None:
    others = [got(1, 1.2, "ann"), got(1, 1.2, "eve")]
    assert judged(sent(1, 1, EVERYBODY), sent(2, 2), *others, got(2, 2.2), got(1, 2.3)) == [(Kind.INVERSION, "ben")]


def test_two_senders_have_no_order() -> None:
    assert judged(sent(1, 1), sent(1, 2, sender="eve"), got(1, 2.1, sender="eve"), got(1, 2.2)) == []


def test_what_a_client_was_told_is_missing_is_not_lost() -> None:
    events: list[Event] = [FIRST, sent(1, 1), TOLD]
    ledger = Ledger(PEOPLE)
    ledger.take(events)
    assert (ledger.missing(), ledger.reported()) == ([], 1)
    assert judged(*events, losses=(3.0,)) == []


def test_what_was_sent_after_a_client_was_told_is_lost_as_ever() -> None:
    assert judged(FIRST, TOLD, sent(1, 6), losses=(3.0,)) == [(Kind.LOST, "ben")]


def test_what_was_overtaken_before_a_client_was_told_had_been_lost_before() -> None:
    """Telling of a loss does not excuse a hole that was there already."""
    assert judged(FIRST, sent(1, 1), sent(2, 2), got(2, 2.2), TOLD, losses=(3.0,)) == [(Kind.LOST, "ben")]


def test_who_is_told_of_a_loss_that_was_none_is_told_so_without_reason() -> None:
    assert judged(FIRST, TOLD) == [(Kind.UNFOUNDED, "ben")]
    assert judged(FIRST, TOLD, losses=(6.0,)) == [(Kind.UNFOUNDED, "ben")]


def test_one_loss_is_told_once() -> None:
    again = welcomed(7.0, recovered=False)
    assert judged(FIRST, TOLD, again, losses=(3.0,)) == [(Kind.UNFOUNDED, "ben")]
    assert judged(FIRST, TOLD, again, losses=(3.0, 6.0)) == []


def test_who_must_not_come_back_misses_nothing_more() -> None:
    """That it was told so is what is wrong, and is judged elsewhere."""
    assert judged(FIRST, Ended("ben", 0.5, 4501, welcomed=False), sent(1, 1)) == []


@pytest.mark.parametrize(("at", "known", "wrong"), [(2.0, True, True), (4.0, True, False), (2.0, False, False)])
def test_an_edge_keeps_connections_while_redis_is_away(at: float, known: bool, wrong: bool) -> None:
    ended = Ended("ben", at, 4002, welcomed=known)
    assert judged(ended, away=(Span(1.0, 3.0),)) == ([(Kind.CLOSED, "ben")] if wrong else [])


def test_only_what_was_accepted_before_a_moment_is_missing_by_then() -> None:
    ledger = Ledger(PEOPLE)
    ledger.take([sent(1, 1), sent(2, 5)])
    assert ledger.missing(3.0) == [Open("ann", 1, "ben")]
    assert len(ledger.missing()) == 2
