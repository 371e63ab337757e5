"""When a PASSIVE logic is due: nominal times, the same on every machine.

``every`` counts whole multiples of its period from the Unix epoch, so that schedulers agree without talking.

A cron expression names wall times in its zone, and each of them is due once (contract P4): one that the spring
change skips is due at the first instant after the gap, together with any other that falls there; one that the
autumn change repeats is due at its first pass. So ``*/5 * * * *`` in such a zone is silent for the repeated hour;
work that is due at a fixed distance says ``every``, or keeps its cron in UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from gobroke_dist.errors import LogicInvalid
from gobroke_dist.logic import LogicBase, logic_name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_LONGEST_EVERY = 366 * 86400.0


class Schedule(Protocol):
    """An endless sequence of nominal times. All times are aware; what is returned is in UTC, in whole milliseconds."""

    def next_after(self, t: datetime) -> datetime:
        """The first nominal time later than ``t``."""
        ...

    def latest_at(self, t: datetime) -> datetime:
        """The last nominal time not later than ``t``."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Each multiple of a period since the Unix epoch.

    Args:
        period: whole milliseconds, at least one.
    """

    period: timedelta

    def next_after(self, t: datetime) -> datetime:
        return self.latest_at(t) + self.period

    def latest_at(self, t: datetime) -> datetime:
        return t.astimezone(UTC) - (t - _EPOCH) % self.period


@dataclass(frozen=True, slots=True)
class Cron:
    """The wall times that a cron expression names.

    Args:
        expression: five fields, or six with seconds first.
        zone: where the wall hangs.
    """

    expression: str
    zone: ZoneInfo

    def next_after(self, t: datetime) -> datetime:
        walls = CronSim(self.expression, self._floor(t))
        return next(due for wall in walls if (due := _instant(wall, self.zone)) > t)

    def latest_at(self, t: datetime) -> datetime:
        walls = CronSim(self.expression, self._ceiling(t) + _SECOND, reverse=True)
        return next(due for wall in walls if (due := _instant(wall, self.zone)) <= t)

    def _floor(self, t: datetime) -> datetime:
        """A wall time before all that are due after ``t``, and near the first of them."""
        wall = self._wall(t)
        return self._last_repeated_minute(wall) if wall.fold else wall.replace(tzinfo=None)

    def _ceiling(self, t: datetime) -> datetime:
        """The last wall time that can be due at ``t``: all repeated ones were due in their first pass."""
        wall = self._wall(t)
        return self._last_repeated_minute(wall) + _MINUTE if wall.fold else wall.replace(tzinfo=None)

    def _wall(self, t: datetime) -> datetime:
        return t.astimezone(self.zone).replace(microsecond=0)

    def _last_repeated_minute(self, wall: datetime) -> datetime:
        minute = wall.replace(second=0)
        while _repeats(minute + _MINUTE):
            minute += _MINUTE
        return minute.replace(tzinfo=None, fold=0)


def schedule_of(logic: LogicBase) -> Schedule:
    """The schedule that a PASSIVE logic declares.

    Raises:
        LogicInvalid: it declares none, or one that can't work; the text says what to write instead.
    """
    name = logic_name(logic)
    if (logic.every is None) == (logic.cron is None):
        given = "neither `every` nor `cron`" if logic.every is None else "both `every` and `cron`"
        raise LogicInvalid(name, f"PASSIVE logic {name!r} has {given}: set exactly one of them")
    return _every(name, logic.every) if logic.every is not None else _cron(name, str(logic.cron), logic.zone)


def _every(name: str, seconds: float) -> Every:
    if not (math.isfinite(seconds) and 0 < seconds <= _LONGEST_EVERY):
        raise LogicInvalid(
            name, f"PASSIVE logic {name!r} has every={seconds!r}: give seconds above 0, at most 366 days, or use `cron`"
        )
    period = timedelta(milliseconds=round(seconds * 1000))
    if abs(period.total_seconds() - seconds) > 1e-9 * seconds:
        raise LogicInvalid(name, f"PASSIVE logic {name!r} has every={seconds!r}: give whole milliseconds, e.g. 0.25")
    return Every(period)


def _cron(name: str, expression: str, zone: str) -> Cron:
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise LogicInvalid(
            name, f"PASSIVE logic {name!r} has zone={zone!r}: give an IANA name such as 'Europe/Berlin' or 'UTC'"
        ) from None
    schedule = Cron(expression, found)
    try:
        schedule.next_after(datetime.now(UTC))
    except CronSimError as error:
        why = f"is not a cron expression ({error}): give 'minute hour day month weekday', e.g. '0 4 * * MON-FRI'"
    except (StopIteration, OverflowError):
        why = "names no time that ever comes: correct its day or month"
    else:
        return schedule
    raise LogicInvalid(name, f"PASSIVE logic {name!r} has cron={expression!r}, which {why}")


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a clock in ``zone`` first shows ``wall``; if it never does, the first instant after that gap."""
    here = wall.replace(tzinfo=zone, fold=0)
    if _exists(here):
        return here.astimezone(UTC)
    here = here.replace(second=0)
    while not _exists(here):
        here += _MINUTE
    return here.astimezone(UTC)


def _exists(here: datetime) -> bool:
    """Whether a clock ever shows this."""
    return here.astimezone(UTC).astimezone(here.tzinfo).replace(tzinfo=None) == here.replace(tzinfo=None)


def _repeats(here: datetime) -> bool:
    """Whether a clock shows this twice."""
    offsets = here.replace(fold=0).utcoffset(), here.replace(fold=1).utcoffset()
    return offsets[0] != offsets[1] and _exists(here)
