"""The statistics of the benchmark."""

from __future__ import annotations

import pytest

from tests.bench.figures import Book, Subject, paired_ratio, quantile


def test_a_ratio_is_taken_within_each_round() -> None:
    """A round in which the whole machine was slow does not change it."""
    assert paired_ratio({0: 20.0, 1: 2.0, 2: 20.0}, {0: 10.0, 1: 1.0, 2: 10.0}) == 2.0


def test_a_round_that_one_side_lacks_is_left_out() -> None:
    """What failed in a round has no ratio there."""
    assert paired_ratio({0: 9.0, 1: 4.0}, {1: 2.0, 2: 1.0}) == 2.0
    assert paired_ratio({0: 9.0}, {1: 2.0}) is None


def test_a_quantile_is_a_value_that_was_measured() -> None:
    """A p99 of a hundred values is the second largest; of fewer, the largest."""
    hundred = [float(number) for number in range(1, 101)]
    assert quantile(hundred, 0.99) == 99.0
    assert quantile(hundred, 0.5) == 50.0
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_quantile_of_one_value_is_that_value(share: float) -> None:
    """Whatever the share."""
    assert quantile([7.0], share) == 7.0


def test_the_longest_takeover_is_that_of_all_trials() -> None:
    """Idle or busy; it is None, not zero, where no worker was killed."""
    book = Book()
    assert book.longest_takeover("takeover") is None
    book.takeovers["takeover"] = {"idle": [9.0, 8.0], "busy": [9.5]}
    assert book.longest_takeover("takeover") == 9.5


def test_a_book_answers_with_medians_and_knows_what_was_never_measured() -> None:
    """An absent figure is None, not zero."""
    book = Book()
    for number, rate in enumerate((10.0, 30.0, 20.0)):
        book.note(number, "base", "ours", {"rate": rate})
    assert book.median("base", "ours", "rate") == 20.0
    assert book.worst("base", "ours", "rate") == 30.0
    assert book.median("base", "theirs", "rate") is None
    assert book.ratio(Subject("base", "ours", "rate"), Subject("base", "theirs", "rate")) is None
