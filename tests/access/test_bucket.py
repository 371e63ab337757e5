"""A token bucket under a clock that the test turns (contract E3)."""

from __future__ import annotations

import pytest

from gobroke_dist.access.bucket import TokenBucket


def taken(bucket: TokenBucket, now: float, times: int = 1000) -> int:
    return sum(bucket.take(now) for _ in range(times))


def test_e3_it_gives_its_burst_at_once_and_its_rate_after_that() -> None:
    bucket = TokenBucket(10, 5, now=100)
    assert taken(bucket, 100) == 5
    assert taken(bucket, 100.35) == 3
    assert taken(bucket, 100.36) == 0
    assert taken(bucket, 1000) == 5


def test_e3_over_a_long_time_it_gives_its_rate_and_no_more() -> None:
    bucket = TokenBucket(100, 200, now=0)
    assert sum(taken(bucket, step / 1000, 3) for step in range(10_001)) == pytest.approx(200 + 100 * 10, abs=1)


def test_it_says_how_long_to_wait() -> None:
    bucket = TokenBucket(4, 1, now=0)
    assert bucket.wait(0) == 0
    assert bucket.take(0)
    assert bucket.wait(0) == 0.25
    assert bucket.wait(0.2) == pytest.approx(0.05)
    assert not bucket.take(0.2)
    assert bucket.take(0.26)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(10, 1, now=100)
    assert bucket.take(100)
    assert not bucket.take(50)
    assert not bucket.take(100.05)
    assert bucket.take(100.2)


def test_a_rate_of_nought_is_no_limit() -> None:
    bucket = TokenBucket(0, 1, now=0)
    assert taken(bucket, 0) == 1000
    assert bucket.wait(0) == 0
