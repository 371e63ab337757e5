"""Writes an audit's record by hand, line by line, a millisecond apart."""

from __future__ import annotations

from collections.abc import Sequence

from gobroke_dist.audit.record import Booted, Disturbed, Effect, Ended, Entry, Outage, Sent, Started
from gobroke_dist.audit.verdict import Verdict, judge
from gobroke_dist.audit.violations import Kind

KEY = "k"


class Scribe:
    """One record. ``at`` is the time of the next line, in milliseconds.

    Args:
        count: how many messages of one part each were accepted, from number 0 on.
        key: what the lines are about.
    """

    def __init__(self, count: int = 1, *, key: str = KEY) -> None:
        self.record: list[Entry] = []
        self.at = 0
        self._key = key
        for number in range(count):
            self.sent(number)

    def sent(self, number: int, *, parts: int = 1) -> None:
        """A message was accepted."""
        self._add(Sent(self._key, number, parts, self.at))

    def start(self, number: int, fence: int, *, attempt: int = 1, recovered: bool = False, worker: str = "w1") -> str:
        """A handler is entered. Returns its run."""
        run = f"{self._key}/{fence}/{self.at}"
        self._add(Started(run, self._key, number, worker, fence, attempt, recovered, self.at))
        return run

    def end(self, run: str, *, good: bool = True) -> None:
        """It returns, or raises."""
        self._add(Ended(run, good, self.at))

    def effect(
        self, run: str, number: int, *, part: int = 0, uuid: str = "", fence: int = 0, attempt: int = 1,
        recovered: bool = False,
    ) -> None:  # fmt: skip
        """What a run sent has come out."""
        uuid, fence = uuid or f"{run}/{part}", fence or self.at
        seen = f"{uuid}/{self.at}"
        self._add(Effect(seen, run, self._key, number, part, uuid, fence, attempt, recovered, self.at))

    def handle(self, number: int, fence: int, *, attempt: int = 1, recovered: bool = False, worker: str = "w1") -> str:
        """A run from its beginning to its effect. Returns it."""
        run = self.start(number, fence, attempt=attempt, recovered=recovered, worker=worker)
        self.end(run)
        self.effect(run, number)
        return run

    def disturb(self, what: str = "kill", worker: str = "w1") -> None:
        """Something is done to a worker."""
        self._add(Disturbed(what, worker, self.at))

    def outage(self, since: int) -> None:
        """Redis works again."""
        self._add(Outage("freeze", since, self.at))

    def boot(self, worker: str, *, ahead: int = 0) -> None:
        """A worker process begins."""
        self._add(Booted(worker, self.at + ahead, self.at))

    def verdict(self, bound: int | None = None) -> Verdict:
        """What comes of it."""
        return judge(self.record, takeover_bound=bound)

    def found(self, bound: int | None = None) -> set[Kind]:
        """The kinds of what is wrong."""
        return {one.kind for one in self.verdict(bound).violations}

    def texts(self, kind: Kind) -> Sequence[str]:
        """What is wrong of one kind."""
        return [one.text for one in self.verdict().violations if one.kind is kind]

    def _add(self, entry: Entry) -> None:
        self.record.append(entry)
        self.at += 1
