"""Each kind of violation in a hand-made record, and beside it what looks like it and is none."""

from __future__ import annotations

from gobroke_dist.audit.verdict import judge
from gobroke_dist.audit.violations import Kind
from tests.audit.scribe import Scribe


def test_a_record_in_which_all_went_well_has_no_violation() -> None:
    record = Scribe(3)
    for number in range(3):
        record.handle(number, fence=number + 1)
    assert record.verdict().good


# --- lost ------------------------------------------------------------------------


def test_w6_a_message_that_was_never_run_is_lost() -> None:
    record = Scribe(2)
    record.handle(0, fence=1)
    assert record.found() == {Kind.LOST}
    assert record.texts(Kind.LOST) == ["message 1 had no effect; it was run 0 times"]


def test_w7_a_message_whose_handler_returned_and_whose_effect_never_came_is_lost() -> None:
    record = Scribe()
    record.end(record.start(0, fence=1))
    assert record.texts(Kind.LOST) == ["message 0 had no effect; it was run 1 times"]


def test_a_message_that_was_refused_is_not_lost() -> None:
    record = Scribe()
    record.handle(0, fence=1)
    record.start(1, fence=2)
    assert Kind.LOST not in record.found()


# --- duplicate -------------------------------------------------------------------


def test_w12_a_message_that_is_run_twice_as_the_same_attempt_is_a_duplicate() -> None:
    record = Scribe()
    record.handle(0, fence=1)
    record.handle(0, fence=2)
    assert record.texts(Kind.DUPLICATE) == ["attempt 1 of message 0 was run twice (fences 1 and 2)"]


def test_w8_one_delivery_that_is_run_twice_is_a_duplicate() -> None:
    record = Scribe()
    record.end(record.start(0, fence=1), good=False)
    record.end(record.start(0, fence=1), good=False)
    record.handle(0, fence=2, attempt=2, recovered=True)
    assert Kind.DUPLICATE in record.found()


def test_w12_a_duplicate_is_found_although_a_worker_died_later() -> None:
    record = Scribe()
    record.end(record.start(0, fence=1), good=False)
    record.end(record.start(0, fence=2), good=False)
    record.handle(0, fence=3, attempt=2, recovered=True)
    assert record.texts(Kind.DUPLICATE) == ["attempt 1 of message 0 was run twice (fences 1 and 2)"]


def test_w12_a_duplicate_is_found_although_a_retry_came_between() -> None:
    record = Scribe()
    record.end(record.start(0, fence=1), good=False)
    record.handle(0, fence=2, attempt=2)
    record.end(record.start(0, fence=3), good=False)
    assert record.texts(Kind.DUPLICATE) == ["attempt 1 of message 0 was run twice (fences 1 and 3)"]


def test_w4_a_retry_is_no_duplicate() -> None:
    record = Scribe()
    record.end(record.start(0, fence=1), good=False)
    record.handle(0, fence=2, attempt=2)
    assert record.verdict().good


def test_w9_a_run_after_a_takeover_is_no_duplicate() -> None:
    record = Scribe()
    record.start(0, fence=1)
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    assert record.verdict().good


def test_w8_what_a_woken_worker_begins_although_it_was_taken_from_it_is_no_duplicate() -> None:
    """It had only been fetched, so the attempt did not count and comes again."""
    record = Scribe()
    record.handle(0, fence=2, recovered=True, worker="w2")
    record.end(record.start(0, fence=1, worker="w1"))
    assert record.verdict().good


def test_w18_a_line_that_was_written_twice_is_one_line() -> None:
    record = Scribe()
    record.handle(0, fence=1)
    assert judge([line for line in record.record for _ in range(2)]).good


# --- inversion -------------------------------------------------------------------


def test_w2_a_message_that_starts_before_the_one_before_it_is_an_inversion() -> None:
    record = Scribe(2)
    record.handle(1, fence=1)
    record.handle(0, fence=2)
    assert Kind.INVERSION in record.found()
    assert "message 1 (fence 1) was started before message 0 had succeeded" in record.texts(Kind.INVERSION)


def test_w4_a_message_that_starts_between_two_attempts_of_the_one_before_it_is_an_inversion() -> None:
    record = Scribe(2)
    record.end(record.start(0, fence=1), good=False)
    record.handle(1, fence=2)
    record.handle(0, fence=3, attempt=2)
    assert Kind.INVERSION in record.found()


def test_w2_a_message_that_starts_before_the_one_before_it_is_finished_by_its_heir_is_an_inversion() -> None:
    """The run that was taken over has ended well, but that counted for nothing."""
    record = Scribe(2)
    first = record.start(0, fence=1, worker="w1")
    heir = record.start(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.end(first)
    next_ = record.start(1, fence=3)
    for run, number in ((heir, 0), (next_, 1)):
        record.end(run)
        record.effect(run, number)
    assert Kind.INVERSION in record.found()


def test_w7_effects_that_come_out_in_another_order_are_an_inversion() -> None:
    record = Scribe(2)
    runs = [record.start(0, fence=1)]
    record.end(runs[0])
    runs.append(record.start(1, fence=2))
    record.end(runs[1])
    record.effect(runs[1], 1)
    record.effect(runs[0], 0)
    assert record.texts(Kind.INVERSION) == ["an effect of message 0 came out after one of message 1"]


def test_w2_a_message_that_is_run_once_more_later_is_a_duplicate_and_no_inversion() -> None:
    record = Scribe(2)
    record.handle(0, fence=1)
    record.handle(1, fence=2)
    record.end(record.start(0, fence=3))
    assert record.found() == {Kind.DUPLICATE}


def test_w8_a_run_that_a_woken_worker_begins_late_is_no_inversion() -> None:
    record = Scribe(2)
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.handle(1, fence=3, worker="w2")
    record.end(record.start(0, fence=1, worker="w1"))
    assert record.verdict().good


def test_w9_an_effect_that_is_seen_again_after_a_takeover_is_no_inversion() -> None:
    record = Scribe(2)
    first = record.handle(0, fence=1)
    record.handle(1, fence=2)
    record.effect(first, 0, fence=90, attempt=2, recovered=True)
    assert record.verdict().good


# --- overlap ---------------------------------------------------------------------


def test_w2_two_messages_of_a_key_that_run_at_once_are_an_overlap() -> None:
    record = Scribe(2)
    first = record.start(0, fence=1, worker="w1")
    second = record.start(1, fence=2, worker="w2")
    for run, number in ((first, 0), (second, 1)):
        record.end(run)
        record.effect(run, number)
    assert record.texts(Kind.OVERLAP) == ["message 0 (fence 1, w1) and message 1 (fence 2, w2) ran at once"]


def test_w2_a_message_that_runs_twice_at_once_is_an_overlap_unless_a_worker_lost_it() -> None:
    record = Scribe()
    first = record.start(0, fence=1)
    second = record.start(0, fence=2, attempt=2)
    record.end(first, good=False)
    record.end(second)
    record.effect(second, 0)
    assert record.found() == {Kind.OVERLAP}


def test_w8_a_run_that_was_superseded_and_goes_on_is_no_overlap() -> None:
    record = Scribe(2)
    stale = record.start(0, fence=1, worker="w1")
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.handle(1, fence=3, worker="w2")
    record.end(stale)
    assert record.verdict().good


def test_w9_a_run_that_was_killed_overlaps_nothing() -> None:
    record = Scribe(2)
    record.start(0, fence=1, worker="w1")
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.handle(1, fence=3, worker="w2")
    assert record.verdict().good


def test_w2_two_keys_may_run_at_once() -> None:
    one, other = Scribe(key="a"), Scribe(key="b")
    first, second = one.start(0, fence=1), other.start(0, fence=1)
    one.end(first)
    other.end(second)
    one.effect(first, 0)
    other.effect(second, 0)
    mixed = sorted(one.record + other.record, key=lambda line: line.at)
    assert judge(mixed).good


# --- doubled ---------------------------------------------------------------------


def test_w7_effects_of_two_runs_of_a_message_are_doubled() -> None:
    record = Scribe()
    record.handle(0, fence=1)
    record.handle(0, fence=2, attempt=2)
    assert record.texts(Kind.DOUBLED) == ["2 runs of message 0 had effects"]


def test_w7_an_effect_that_comes_out_twice_as_the_same_attempt_is_doubled() -> None:
    record = Scribe()
    run = record.handle(0, fence=1)
    for fence in (90, 91):
        record.effect(run, 0, uuid="u", fence=fence)
    assert record.texts(Kind.DOUBLED) == ["an effect of message 0 came out twice as attempt 1 (fences 90 and 91)"]


def test_w7_an_effect_that_comes_out_twice_is_found_although_it_was_taken_over_later() -> None:
    record = Scribe()
    run = record.start(0, fence=1)
    record.end(run)
    for fence in (90, 91):
        record.effect(run, 0, uuid="u", fence=fence)
    record.effect(run, 0, uuid="u", fence=92, attempt=2, recovered=True)
    assert record.found() == {Kind.DOUBLED}


def test_w8_an_effect_that_one_delivery_sees_twice_is_doubled_although_it_had_taken_over() -> None:
    record = Scribe()
    run = record.start(0, fence=1)
    record.end(run)
    for _ in range(2):
        record.effect(run, 0, uuid="u", fence=91, attempt=2, recovered=True)
    assert record.found() == {Kind.DOUBLED}


def test_w9_an_effect_that_comes_out_again_after_a_takeover_is_not_doubled() -> None:
    record = Scribe()
    run = record.start(0, fence=1)
    record.end(run)
    record.effect(run, 0, uuid="u", fence=90)
    record.effect(run, 0, uuid="u", fence=91, attempt=2, recovered=True)
    assert record.verdict().good


def test_w8_an_effect_that_a_woken_worker_sees_although_it_was_taken_from_it_is_not_doubled() -> None:
    record = Scribe()
    run = record.start(0, fence=1)
    record.end(run)
    record.effect(run, 0, uuid="u", fence=91, recovered=True)
    record.effect(run, 0, uuid="u", fence=90)
    assert record.verdict().good


# --- torn ------------------------------------------------------------------------


def test_w7_a_run_of_which_a_part_is_missing_is_torn() -> None:
    record = Scribe(0)
    record.sent(0, parts=2)
    record.handle(0, fence=1)
    assert record.texts(Kind.TORN) == ["of message 0, parts [0] of 2 came out"]


def test_w7_a_run_of_which_both_parts_came_is_not_torn() -> None:
    record = Scribe(0)
    record.sent(0, parts=2)
    run = record.handle(0, fence=1)
    record.effect(run, 0, part=1)
    assert record.verdict().good


# --- unfenced --------------------------------------------------------------------


def test_w8_a_run_that_was_taken_over_and_has_an_effect_is_unfenced() -> None:
    record = Scribe()
    stale = record.start(0, fence=1, worker="w1")
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.end(stale)
    record.effect(stale, 0)
    assert record.texts(Kind.UNFENCED) == ["message 0 was taken from w1; its fence 1 still counted"]


def test_w8_a_fence_that_does_not_grow_is_unfenced() -> None:
    record = Scribe(2)
    record.handle(0, fence=5)
    record.handle(1, fence=5)
    assert record.texts(Kind.UNFENCED) == ["message 1 was started with fence 5 after fence 5"]


def test_w8_a_run_that_was_taken_over_and_refused_is_fenced() -> None:
    record = Scribe()
    stale = record.start(0, fence=1, worker="w1")
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.end(stale)
    assert record.verdict().good
    assert record.verdict().refused == record.verdict().fenced == 1


def test_w8_a_woken_worker_may_begin_with_a_lower_fence() -> None:
    record = Scribe()
    record.handle(0, fence=2, recovered=True, worker="w2")
    record.end(record.start(0, fence=1, worker="w1"), good=False)
    assert record.verdict().good


# --- unearned --------------------------------------------------------------------


def test_w7_an_effect_of_a_run_that_raised_is_unearned() -> None:
    record = Scribe()
    run = record.start(0, fence=1)
    record.end(run, good=False)
    record.effect(run, 0)
    assert record.texts(Kind.UNEARNED) == ["attempt 1 of message 0 did not succeed, and had an effect"]


def test_w7_an_effect_of_a_run_that_never_ended_is_unearned() -> None:
    record = Scribe()
    record.effect(record.start(0, fence=1), 0)
    assert record.found() == {Kind.UNEARNED}


def test_w4_an_effect_of_the_attempt_that_succeeded_is_earned() -> None:
    record = Scribe()
    record.end(record.start(0, fence=1), good=False)
    record.handle(0, fence=2, attempt=2)
    assert record.verdict().good


# --- late ------------------------------------------------------------------------


def taken_over_after(milliseconds: int) -> Scribe:
    record = Scribe()
    record.start(0, fence=1, worker="w1")
    record.disturb("kill", "w1")
    record.at += milliseconds - 1
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    return record


def test_w9_a_takeover_beyond_the_bound_is_late() -> None:
    record = taken_over_after(3001)
    assert record.found(bound=3000) == {Kind.LATE}
    assert record.verdict(3000).violations[0].text == "message 0 was taken over from w1 after 3001 ms, at 00:00:03"


def test_w9_a_takeover_within_the_bound_is_not_late() -> None:
    assert taken_over_after(3000).verdict(3000).good


def test_w9_without_a_bound_no_takeover_is_late() -> None:
    assert taken_over_after(60_000).verdict().good


def test_w9_a_takeover_that_was_disturbed_again_is_not_late() -> None:
    record = Scribe()
    record.start(0, fence=1, worker="w1")
    record.disturb("kill", "w1")
    record.disturb("kill", "w2")
    record.at += 5000
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w3")
    assert record.verdict(3000).good
