"""A record, sorted by key."""

from __future__ import annotations

import pytest

from gobroke_dist.audit.history import Run, histories, overlapping, settled_by_fence
from gobroke_dist.audit.record import Ended, Started
from tests.audit.scribe import KEY, Scribe


def runs(record: Scribe) -> list[Run]:
    return histories(record.record)[KEY].runs


def test_lines_of_different_keys_are_kept_apart() -> None:
    one, other = Scribe(2, key="a"), Scribe(1, key="b")
    one.handle(0, fence=1)
    found = histories(one.record + other.record)
    assert [len(found[key].sent) for key in "ab"] == [2, 1]
    assert [len(found[key].runs) for key in "ab"] == [1, 0]
    assert [len(found[key].effects) for key in "ab"] == [1, 0]


def test_a_run_that_never_ended_may_run_for_ever() -> None:
    record = Scribe()
    record.start(0, fence=1)
    (run,) = runs(record)
    assert run.left is None
    assert run.runs_at(1_000_000)


def test_a_run_is_over_after_its_last_word() -> None:
    record = Scribe()
    record.end(record.start(0, fence=1))
    (run,) = runs(record)
    assert (run.entered, run.left, run.good) == (1, 2, True)
    assert run.runs_at(1)
    assert not run.runs_at(2)


def test_the_first_of_two_equal_lines_counts() -> None:
    """A line is written again when the answer to the first try was lost."""
    record = Scribe()
    record.handle(0, fence=1)
    found = histories([*record.record, *record.record])[KEY]
    assert (len(found.runs), len(found.effects)) == (1, 1)
    assert found.runs[0].left == 2


def test_a_last_word_of_an_unknown_run_changes_nothing() -> None:
    assert histories([Ended("nobody's", True, 1)]) == {}


@pytest.mark.parametrize(("recovered", "heir"), [(True, 7), (False, None)])
def test_only_a_later_delivery_that_says_so_has_taken_over(recovered: bool, heir: int | None) -> None:
    record = Scribe()
    record.start(0, fence=3)
    record.handle(0, fence=7, attempt=2, recovered=recovered)
    first, second = runs(record)
    assert (first.heir, first.taken_over) == (heir, recovered)
    assert not second.taken_over


def test_the_heir_is_the_first_of_several() -> None:
    record = Scribe()
    record.start(0, fence=1)
    for fence in (9, 5):
        record.start(0, fence=fence, attempt=2, recovered=True)
    assert [run.heir for run in runs(record)] == [5, None, 9]


def test_another_messages_takeover_takes_nothing_over() -> None:
    record = Scribe(2)
    record.handle(0, fence=1)
    record.handle(1, fence=2, recovered=True)
    assert not any(run.taken_over for run in runs(record))


def test_runs_overlap_from_the_entry_to_the_last_word() -> None:
    record = Scribe(3)
    first = record.start(0, fence=1)
    second = record.start(1, fence=2)
    record.end(first)
    record.start(2, fence=3)
    record.end(second)
    assert [(a.number, b.number) for a, b in overlapping(runs(record))] == [(0, 1), (1, 2)]


@pytest.mark.parametrize(("heir", "newer", "settled"), [(None, 9, False), (5, 9, True), (9, 9, True), (11, 9, False)])
def test_a_fence_settles_what_was_taken_over_before_the_newer_delivery(
    heir: int | None, newer: int, settled: bool
) -> None:
    older, later = run_with(fence=1, heir=heir), run_with(fence=newer, heir=None)
    assert settled_by_fence(older, later) is settled_by_fence(later, older) is settled


def run_with(*, fence: int, heir: int | None) -> Run:
    return Run(Started(f"r{fence}", KEY, 0, "w", fence, 1, False, 0), entered=0, heir=heir)
