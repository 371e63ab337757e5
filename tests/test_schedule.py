from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gobroke_dist.errors import LogicInvalid
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.schedule import Schedule, schedule_of

MICROSECOND = timedelta(microseconds=1)


def passive(every: float | None = None, cron: str | None = None, zone: str = "UTC") -> LogicBase:
    logic = LogicBase("sweep", LogicType.PASSIVE)
    logic.every, logic.cron, logic.zone = every, cron, zone
    return logic


def cron(expression: str, zone: str = "UTC") -> Schedule:
    return schedule_of(passive(cron=expression, zone=zone))


def due(schedule: Schedule, start: str, end: str) -> list[str]:
    """The UTC times, as text, that are due in [start, end)."""
    t, last = datetime.fromisoformat(start) - MICROSECOND, datetime.fromisoformat(end)
    found = []
    while (t := schedule.next_after(t)) < last:
        found.append(f"{t:%m-%d %H:%M}")
    return found


instants = st.datetimes(
    datetime(2001, 1, 1), datetime(2036, 12, 31), timezones=st.sampled_from([UTC, ZoneInfo("Asia/Tokyo")])
)
change_days = st.sampled_from(["2025-03-30", "2025-10-26", "2025-03-09", "2025-11-02", "2025-04-06", "2025-10-05"])
near_changes = st.builds(
    lambda day, seconds: datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(seconds=seconds),
    change_days,
    st.integers(-40_000, 100_000),
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
expressions = st.sampled_from([
    "* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "15,45 1-3 * * *", "*/15 2 * * *",
    "0 0 29 2 *", "0 9 * * MON-FRI", "0 0 L * *", "10 30 2 * * *", "*/20 * 1-2 * * *",
])  # fmt: skip


@given(st.integers(1, 10_000_000), instants)
def test_p2_every_is_aligned_to_the_epoch(milliseconds: int, t: datetime) -> None:
    """Two schedulers that know nothing of each other name the same times."""
    schedule = schedule_of(passive(every=milliseconds / 1000))
    after, latest = schedule.next_after(t), schedule.latest_at(t)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert latest <= t < after
    assert after - latest == timedelta(milliseconds=milliseconds)
    assert (after - epoch) % timedelta(milliseconds=milliseconds) == timedelta(0)
    assert after.tzinfo is UTC


@given(expressions, zones, st.one_of(instants, near_changes))
def test_p2_next_after_and_latest_at_agree(expression: str, zone: str, t: datetime) -> None:
    """Nothing is due between the two, and each finds the other's answer, on days of a change as well."""
    schedule = cron(expression, zone)
    after, latest = schedule.next_after(t), schedule.latest_at(t)
    assert latest <= t < after
    assert schedule.next_after(latest) == after
    assert schedule.latest_at(after) == after
    assert schedule.latest_at(after - MICROSECOND) == latest
    assert schedule.next_after(latest - MICROSECOND) == latest


@given(expressions, zones, near_changes)
def test_p4_no_wall_time_is_due_twice(expression: str, zone: str, t: datetime) -> None:
    """Over a change of the clocks the wall shows every due time once, and time only moves on."""
    schedule = cron(expression, zone)
    times = [t := schedule.next_after(t) for _ in range(50)]
    assert all(a < b for a, b in pairwise(times))
    walls = [one.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) for one in times]
    assert len(set(walls)) == len(walls)


@pytest.mark.parametrize(
    ("zone", "expression", "start", "expected"),
    [
        # 2025-03-30 01:00 UTC: Berlin goes from 02:00 to 03:00.
        ("Europe/Berlin", "30 2 * * *", "2025-03-29", ["03-29 01:30", "03-30 01:00", "03-31 00:30"]),
        ("Europe/Berlin", "0 30 2 * * *", "2025-03-29", ["03-29 01:30", "03-30 01:00", "03-31 00:30"]),
        ("Europe/Berlin", "*/30 2 * * *", "2025-03-30", ["03-30 01:00", "03-31 00:00", "03-31 00:30"]),
        ("Europe/Berlin", "30 2,3 * * *", "2025-03-30", ["03-30 01:00", "03-30 01:30", "03-31 00:30", "03-31 01:30"]),
        # 2025-10-26 01:00 UTC: Berlin goes from 03:00 to 02:00.
        ("Europe/Berlin", "30 2 * * *", "2025-10-25", ["10-25 00:30", "10-26 00:30", "10-27 01:30"]),
        ("Europe/Berlin", "0 30 2 * * *", "2025-10-25", ["10-25 00:30", "10-26 00:30", "10-27 01:30"]),
        ("Europe/Berlin", "0 2,3 * * *", "2025-10-26", ["10-26 00:00", "10-26 02:00", "10-27 01:00", "10-27 02:00"]),
        # 2025-03-09 07:00 UTC: New York goes from 02:00 to 03:00; 2025-11-02 06:00 UTC: from 02:00 to 01:00.
        ("America/New_York", "15 2 * * *", "2025-03-09", ["03-09 07:00", "03-10 06:15"]),
        ("America/New_York", "15 1 * * *", "2025-11-02", ["11-02 05:15", "11-03 06:15"]),
        # A half-hour change: 2025-10-04 15:30 UTC, Lord Howe goes from 02:00 to 02:30.
        ("Australia/Lord_Howe", "10 2 * * *", "2025-10-04", ["10-04 15:30", "10-05 15:10"]),
    ],
)
def test_p4_daylight_saving(zone: str, expression: str, start: str, expected: list[str]) -> None:
    """What the spring change skips is due once right after it; what the autumn change repeats is due once."""
    end = datetime.fromisoformat(start) + timedelta(days=len({text[:5] for text in expected}))
    assert due(cron(expression, zone), f"{start}T00:00+00:00", f"{end.isoformat()}+00:00") == expected


def test_p4_an_hourly_cron_is_once_per_wall_hour() -> None:
    """24 wall hours of a 25-hour day are due once each; of a 23-hour day, the skipped one coincides with the next."""
    hourly = cron("0 * * * *", "Europe/Berlin")
    assert len(due(hourly, "2025-10-25T22:00+00:00", "2025-10-26T23:00+00:00")) == 24
    assert len(due(hourly, "2025-03-29T23:00+00:00", "2025-03-30T22:00+00:00")) == 23


def test_p4_the_second_pass_of_an_hour_has_nothing_due() -> None:
    """Asked in the repeated hour, a schedule looks past it, and back to the first pass."""
    schedule = cron("30 2 * * *", "Europe/Berlin")
    second_pass = datetime(2025, 10, 26, 1, 10, tzinfo=UTC)
    assert schedule.next_after(second_pass) == datetime(2025, 10, 27, 1, 30, tzinfo=UTC)
    assert schedule.latest_at(second_pass) == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("logic", "says"),
    [
        (passive(), "neither"),
        (passive(every=1, cron="* * * * *"), "both"),
        (passive(every=0), "above 0"),
        (passive(every=-1), "above 0"),
        (passive(every=float("nan")), "above 0"),
        (passive(every=float("inf")), "above 0"),
        (passive(every=0.0001), "whole milliseconds"),
        (passive(every=0.0015), "whole milliseconds"),
        (passive(cron=""), "not a cron expression"),
        (passive(cron="61 * * * *"), "Bad minute"),
        (passive(cron="0 0 30 2 *"), "Bad day-of-month"),
        (passive(cron="0 4 * * *", zone="Mars/Olympus"), "IANA"),
        (passive(cron="0 4 * * *", zone="../etc/passwd"), "IANA"),
        (passive(cron="0 4 * * *", zone="Europe"), "IANA"),
        (passive(cron="0 4 * * *", zone=""), "IANA"),
    ],
)
def test_p2_what_can_not_work_is_refused(logic: LogicBase, says: str) -> None:
    """A schedule that can't work is refused when the logic is added, with the logic's name and what to do."""
    with pytest.raises(LogicInvalid, match=says) as caught:
        schedule_of(logic)
    assert caught.value.logic == "sweep"
    assert "'sweep'" in str(caught.value)
