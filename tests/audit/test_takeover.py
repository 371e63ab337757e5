"""How long the messages of a killed or stopped worker waited."""

from __future__ import annotations

from gobroke_dist.audit.takeover import Takeover
from tests.audit.scribe import KEY, Scribe

WAIT = 100


def killed(*, worker: str = "w1") -> Scribe:
    """A worker is killed in the middle of a message, which another one takes over."""
    record = Scribe()
    record.start(0, fence=1, worker="w1")
    record.disturb("kill", worker)
    record.at += WAIT - 1
    return record


def finished(record: Scribe) -> tuple[Takeover, ...]:
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    return record.verdict(bound=50).takeovers


def test_w9_a_takeover_counts_from_the_kill_to_the_entry_of_the_handler_on_the_next_worker() -> None:
    record = killed()
    at = record.at
    assert finished(record) == (Takeover(KEY, 0, "w1", "w2", at, WAIT, calm=True),)


def test_a_kill_of_nobody_knows_whom_is_a_cause() -> None:
    assert finished(killed(worker=""))[0].milliseconds == WAIT


def test_a_takeover_without_a_cause_is_not_timed() -> None:
    """A worker may lose its lease for reasons that nobody noted."""
    assert finished(killed(worker="w9")) == ()


def test_what_was_done_before_the_message_started_is_no_cause() -> None:
    record = Scribe()
    record.disturb("kill", "w1")
    record.start(0, fence=1, worker="w1")
    assert finished(record) == ()


def test_a_message_that_was_only_run_again_was_not_taken_over() -> None:
    record = Scribe()
    run = record.start(0, fence=1)
    record.disturb("stop", "w1")
    record.end(run, good=False)
    record.handle(0, fence=2, attempt=2)
    assert record.verdict().takeovers == ()


def test_a_run_that_had_ended_when_the_next_began_was_not_cut_short() -> None:
    record = Scribe()
    run = record.start(0, fence=1)
    record.disturb("stop", "w1")
    record.end(run)
    assert finished(record) == ()


def test_of_two_takeovers_in_a_row_each_is_timed() -> None:
    record = killed()
    record.start(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.disturb("kill", "w2")
    record.at += 9
    record.handle(0, fence=3, attempt=3, recovered=True, worker="w3")
    assert [(one.from_worker, one.milliseconds) for one in record.verdict().takeovers] == [("w1", WAIT), ("w2", 10)]


def test_a_second_disturbance_meanwhile_takes_the_calm() -> None:
    record = killed()
    record.disturb("kill", "w3")
    assert [one.calm for one in finished(record)] == [False]


def test_an_outage_of_redis_meanwhile_takes_the_calm() -> None:
    record = killed()
    record.outage(since=record.at - 10)
    assert [one.calm for one in finished(record)] == [False]


def test_an_outage_shortly_before_takes_the_calm_and_one_long_before_does_not() -> None:
    """Shortly means: less than the bound, which is 50 ms here."""
    for pause, calm in ((30, False), (70, True)):
        record = Scribe(0)
        record.outage(since=0)
        record.at += pause
        record.sent(0)
        record.start(0, fence=1, worker="w1")
        record.disturb("kill", "w1")
        record.at += WAIT
        assert [one.calm for one in finished(record)] == [calm]


def test_calm_takeovers_and_others_are_told_apart() -> None:
    record = killed()
    finished(record)
    verdict = record.verdict()
    calm = verdict.takeover_times(calm=True)
    assert calm is not None
    assert (calm.count, calm.max) == (1, WAIT)
    assert verdict.takeover_times(calm=False) is None
