"""The numbers of a verdict."""

from __future__ import annotations

from gobroke_dist.audit.verdict import Percentiles, percentiles
from gobroke_dist.audit.violations import Kind
from tests.audit.scribe import Scribe


def test_nothing_that_was_sent_is_no_good_verdict() -> None:
    assert not Scribe(0).verdict().good


def test_keys_of_which_nothing_was_accepted_do_not_count() -> None:
    record = Scribe(0)
    record.handle(0, fence=1)
    assert (record.verdict().keys, record.verdict().runs) == (0, 0)


def test_runs_are_counted_by_what_became_of_them() -> None:
    record = Scribe(2)
    record.end(record.start(0, fence=1), good=False)
    record.end(record.start(0, fence=2, attempt=2), good=False)
    record.handle(0, fence=3, attempt=3)
    record.start(1, fence=4)
    record.handle(1, fence=5, attempt=2, recovered=True, worker="w2")
    verdict = record.verdict()
    assert (verdict.keys, verdict.sent, verdict.runs) == (1, 2, 5)
    assert (verdict.again, verdict.raised, verdict.recovered) == (3, 2, 1)
    assert (verdict.fenced, verdict.refused) == (0, 0), "who was killed goes on with nothing"


def test_w8_a_run_that_went_on_beside_several_others_counts_once_as_fenced() -> None:
    record = Scribe(3)
    stale = record.start(0, fence=1, worker="w1")
    record.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.handle(1, fence=3, worker="w2")
    record.end(stale)
    record.handle(2, fence=4, worker="w2")
    assert (record.verdict().fenced, record.verdict().refused) == (1, 1)


def test_violations_are_counted_by_kind_and_by_key() -> None:
    record = Scribe(2, key="bad")
    good = Scribe(key="good")
    good.handle(0, fence=1)
    record.record += good.record
    verdict = record.verdict()
    assert verdict.count(Kind.LOST) == 2
    assert verdict.by_key() == {"bad": {"lost": 2}}


def test_latencies_count_from_the_sending_to_the_first_run_and_to_the_first_effect() -> None:
    record = Scribe(0)
    record.sent(0)
    record.at = 10
    record.end(record.start(0, fence=1), good=False)
    record.at = 20
    run = record.start(0, fence=2, attempt=2)
    record.end(run)
    record.at = 50
    record.effect(run, 0)
    verdict = record.verdict()
    assert verdict.latency == Percentiles(1, 10, 10, 10, 10)
    assert verdict.effect_latency == Percentiles(1, 50, 50, 50, 50)


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles(range(1, 101)) == Percentiles(count=100, p50=50, p95=95, p99=99, max=100)
    assert percentiles([7]) == Percentiles(1, 7, 7, 7, 7)
    assert percentiles([]) is None


def test_w20_a_worker_whose_clock_is_ahead_is_shown_by_how_much() -> None:
    record = Scribe()
    record.boot("w1")
    record.boot("w2", ahead=3_600_000)
    assert record.verdict().workers == {"w1": 0, "w2": 3_600_000}


def test_what_was_done_to_workers_is_counted_by_kind() -> None:
    record = Scribe()
    for what in ("kill", "stop", "kill"):
        record.disturb(what)
    assert record.verdict().disturbances == {"kill": 2, "stop": 1}
