"""What was sent and what has come, side by side; and what is wrong with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.cluster.events import ACCEPTED, DONT_RETURN, EVERYBODY, Ended, Event, Got, Sent, Welcomed


class Kind(StrEnum):
    """What can go wrong."""

    LOST = "lost"
    """accepted, not delivered, and nobody was told that something is missing"""
    DUPLICATE = "duplicate"
    """delivered twice to one client"""
    REPEATED = "repeated"
    """delivered with an offset that the client had shown or passed already"""
    INVERSION = "inversion"
    """delivered after a later one of the same sender"""
    UNFOUNDED = "unfounded"
    """a client that came back in time was told that something is lost, though Redis had lost nothing"""
    CLOSED = "closed"
    """an edge ended the connection of a client that it had welcomed, because Redis was away"""
    TURNED_AWAY = "turned away"
    """a client that did as the documentation says was told not to come back"""
    GHOST = "ghost"
    """a client of an edge that is gone was listed for too long"""
    STUCK = "stuck"
    """something did not recover by itself, in time"""
    GROWN = "grown"
    """an edge holds more memory than it did"""
    CRASHED = "crashed"
    """an edge reported an exception that it did not expect"""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise.

    Attributes:
        kind: which.
        who: the client, or the edge.
        text: more of it, for people.
    """

    kind: Kind
    who: str
    text: str


class Open(NamedTuple):
    """A message that was accepted, and that has not come yet to a client that is to get it."""

    sender: str
    number: int
    client: str


class Span(NamedTuple):
    """From when to when."""

    began: float
    ended: float

    def __contains__(self, at: object) -> bool:
        return isinstance(at, float) and self.began <= at <= self.ended


class Ledger:
    """Takes in events, in any order but that those of one client come in its own.

    Args:
        people: who gets what is sent to everybody.

    Attributes:
        counts: what happened how often.
        outcomes: of what was sent, how often each.
    """

    def __init__(self, people: Collection[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self._people = people
        self._sent: dict[tuple[str, int], Sent] = {}
        self._got: dict[tuple[str, str], list[Got]] = defaultdict(list)  # by client and sender
        self._had: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        self._open: set[Open] = set()
        self._told: dict[str, list[float]] = defaultdict(list)
        self._welcomed: dict[str, list[Welcomed]] = defaultdict(list)
        self._ended: list[Ended] = []
        self._turned_away: set[str] = set()

    def take(self, events: Iterable[Event]) -> None:
        """Note what happened."""
        for event in events:
            match event:
                case Sent():
                    self._take_sent(event)
                case Got():
                    self._take_got(event)
                case Welcomed():
                    self._take_welcome(event)
                case Ended():
                    self._ended.append(event)
                    if event.code >= DONT_RETURN:
                        self._turned_away.add(event.client)

    def missing(self, before: float = float("inf")) -> list[Open]:
        """What was accepted before a moment, has not come, and was not reported as lost.

        To a client that was told not to come back nothing can come; that it was told so is what is wrong.
        """
        late = (one for one in self._open if self._sent[one[:2]].ended < before)
        return [one for one in late if one.client not in self._turned_away and not self._reported(one)]

    def reported(self) -> int:
        """How many that were accepted have not come, to clients that were told that something is missing."""
        return sum(self._reported(one) for one in self._open)

    def ends(self, during: Span) -> Counter[int]:
        """How often edges, or the network, ended connections of clients that were welcome, by close code."""
        return Counter(one.code for one in self._ended if one.welcomed and one.at in during)

    def violations(self, *, losses: Sequence[float], away: Sequence[Span]) -> list[Violation]:
        """What went wrong with messages, and with connections.

        Args:
            losses: when Redis lost what it had.
            away: when Redis was away, and nothing else was.
        """
        found = [*self._lost(), *self._in_disorder(), *self._unfounded(losses)]
        found += (
            Violation(Kind.CLOSED, one.client, f"with {one.code} at {one.at:.1f}")
            for one in self._ended
            if one.welcomed and any(one.at in span for span in away)
        )
        return found

    # --- taking in -----------------------------------------------------------------

    def _take_sent(self, sent: Sent) -> None:
        key = sent.sender, sent.number
        self._sent[key] = sent
        self.outcomes[sent.outcome] += 1
        if sent.outcome == ACCEPTED:
            had = self._had[key]
            recipients = self._people if sent.to == EVERYBODY else (sent.to,)
            expected = [client for client in recipients if client not in had]
            self.counts["deliveries promised"] += len(recipients)
            self._open.update(Open(*key, client) for client in expected)

    def _take_got(self, got: Got) -> None:
        key = got.sender, got.number
        self.counts["delivered"] += 1
        self.counts["delivered on coming back"] += got.late
        self._had[key][got.client] += 1
        self._got[got.client, got.sender].append(got)
        self._open.discard(Open(*key, got.client))

    def _take_welcome(self, welcome: Welcomed) -> None:
        self._welcomed[welcome.client].append(welcome)
        if not welcome.back:
            self.counts["came"] += 1
        elif welcome.recovered:
            self.counts["came back, recovered"] += 1
        else:
            self.counts["came back, told of a loss"] += 1
            self._told[welcome.client].append(welcome.at)

    # --- judging -------------------------------------------------------------------

    def _reported(self, one: Open) -> bool:
        """Whether its client was told that something is missing, and had nothing later of that sender before."""
        began = self._sent[one[:2]].began
        later = [got.at for got in self._got.get((one.client, one.sender), ()) if got.number > one.number]
        return any(began < told and not any(at < told for at in later) for told in self._told.get(one.client, ()))

    def _lost(self) -> Iterator[Violation]:
        for one in sorted(self.missing()):
            sent = self._sent[one[:2]]
            to = "everybody" if sent.to == EVERYBODY else "it alone"
            yield Violation(
                Kind.LOST, one.client, f"{one.sender}'s message {one.number} to {to}, accepted at {sent.ended:.1f}"
            )

    def _unfounded(self, losses: Sequence[float]) -> Iterator[Violation]:
        for client, welcomes in self._welcomed.items():
            for before, welcome in pairwise(welcomes):
                if not welcome.recovered and not any(before.at < loss < welcome.at for loss in losses):
                    yield Violation(Kind.UNFOUNDED, client, f"told so at {welcome.at:.1f}")

    def _in_disorder(self) -> Iterator[Violation]:
        for (client, sender), arrived in self._got.items():
            last = 0
            seen: set[int] = set()
            for got in arrived:
                what = f"{sender}'s message {got.number} at {got.at:.1f}"
                if got.number in seen:
                    yield Violation(Kind.DUPLICATE, client, what)
                if not got.new:
                    yield Violation(Kind.REPEATED, client, what)
                if not self._was_accepted(sender, got.number):
                    self.counts["delivered, though its sender could not know"] += 1
                elif got.number < last and got.number not in seen:
                    yield Violation(Kind.INVERSION, client, f"{what}, after message {last}")
                else:
                    last = max(last, got.number)
                seen.add(got.number)

    def _was_accepted(self, sender: str, number: int) -> bool:
        sent = self._sent.get((sender, number))
        return sent is not None and sent.outcome == ACCEPTED
