"""How long the messages of a worker waited that was killed or stopped in the middle of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gobroke_dist.audit.history import History, Run
from gobroke_dist.audit.record import Disturbed, Entry, Outage


@dataclass(frozen=True, slots=True)
class Takeover:
    """A message that another worker finished.

    Attributes:
        at: when the handler was entered on the next, in Unix milliseconds of the record's clock.
        milliseconds: from what was done to the first worker until then.
        calm: nothing else was done to a worker meanwhile, and Redis worked for all of them.
    """

    key: str
    number: int
    from_worker: str
    to_worker: str
    at: int
    milliseconds: int
    calm: bool


def takeovers(record: Iterable[Entry], keys: Iterable[History], *, margin: int) -> tuple[Takeover, ...]:
    """All that can be timed.

    Args:
        record: for what was done to workers, and to Redis.
        keys: what happened to each key.
        margin: milliseconds after an outage of Redis in which nothing counts as calm.
    """
    entries = list(record)
    disturbances = sorted((one for one in entries if isinstance(one, Disturbed)), key=lambda one: one.at)
    outages = [one for one in entries if isinstance(one, Outage)]
    timing = _Timing(disturbances, outages, margin)
    found = []
    for history in keys:
        for runs in history.runs_of().values():
            found += [timing.of(dead, heir) for dead, heir in _pairs(runs)]
    return tuple(one for one in found if one is not None)


def _pairs(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Each run that was cut short, with the one that took over from it."""
    by_fence = sorted(runs, key=lambda run: run.fence)
    found = []
    for dead, heir in pairwise(by_fence):
        if heir.started.recovered and dead.runs_at(heir.entered):
            found.append((dead, heir))
    return found


class _Timing:
    def __init__(self, disturbances: Sequence[Disturbed], outages: Sequence[Outage], margin: int) -> None:
        self._disturbances = disturbances
        self._times = [one.at for one in disturbances]
        self._outages = outages
        self._margin = margin

    def of(self, dead: Run, heir: Run) -> Takeover | None:
        began, ended = dead.started.at, heir.started.at
        between = self._disturbances[bisect_right(self._times, began - 1) : bisect_right(self._times, ended)]
        causes = [one for one in between if one.worker in ("", dead.started.worker)]
        if not causes:
            return None
        since = causes[0].at
        others = [one for one in between if one.at >= since and one is not causes[0]]
        calm = not others and not self._outage(since - self._margin, ended)
        workers = dead.started.worker, heir.started.worker
        return Takeover(heir.started.key, heir.number, *workers, ended, ended - since, calm)

    def _outage(self, since: int, until: int) -> bool:
        return any(one.since <= until and one.at >= since for one in self._outages)
