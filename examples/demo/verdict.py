"""From what was sent and what arrived to a verdict. Pure: no clock, no network."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that a client sent. ``sequence`` counts this client's messages in this room from 1.

    ``at`` is the second at which it was due, by the clock that ``Received.at`` is of: a message that had to wait
    before it could be sent counts that wait.
    """

    uuid: str
    room: str
    sender: str
    sequence: int
    at: float


@dataclass(frozen=True, slots=True)
class Received:
    """A message that arrived at one client. ``number`` is the place in its room that the WORKER gave it."""

    uuid: str
    room: str
    number: int
    receiver: str
    at: float
    worker: str = ""
    attempt: int = 1
    recovered: bool = False


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    OUT_OF_ORDER = "out_of_order"
    MISNUMBERED = "misnumbered"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: on which key, at whom, and what exactly."""

    kind: Kind
    room: str
    receiver: str
    text: str


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from sending to receiving, over all deliveries; nearest rank."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The numbers of a run.

    Attributes:
        sent: messages sent.
        rooms: rooms, that is ordering keys, that they were sent to.
        expected: deliveries that these must cause: each message to each member of its room.
        received: deliveries that arrived.
        faults: everything that is wrong.
        latency: of all deliveries; None if nothing arrived.
        calm_latency: of the messages that were due before the cluster was disturbed.
        by_worker: messages that each worker process handled, as far as anybody received them.
        again: messages that were handled more than once, because the first time was cut short.
        recovered: those of them that were taken over from a dead worker.
    """

    sent: int
    rooms: int
    expected: int
    received: int
    faults: tuple[Fault, ...]
    latency: Latency | None
    calm_latency: Latency | None
    by_worker: Mapping[str, int]
    again: int
    recovered: int

    def count(self, kind: Kind) -> int:
        """How many faults of one kind there are."""
        return sum(fault.kind is kind for fault in self.faults)

    @property
    def good(self) -> bool:
        """Whether everything that should have arrived did, and nothing is wrong with it."""
        return not self.faults and self.sent > 0 and self.received == self.expected


def judge(
    sent: Sequence[Sent],
    received: Sequence[Received],
    members: Mapping[str, frozenset[str]],
    *,
    disturbed_at: float = math.inf,
) -> Verdict:
    """Compare what was sent with what arrived.

    Args:
        sent: all messages, in the order in which each sender sent its own.
        received: all deliveries, in the order in which each receiver got its own.
        members: who has to receive what is said in each room.
        disturbed_at: the second at which the burst and the kill began.
    """
    known = {message.uuid: message for message in sent}
    by_receiver: dict[tuple[str, str], list[Received]] = defaultdict(list)
    for one in received:
        by_receiver[one.room, one.receiver].append(one)
    by_room: dict[str, list[Sent]] = defaultdict(list)
    for message in sent:
        by_room[message.room].append(message)
    faults = [
        *(
            fault
            for room in by_room
            for who in sorted(members[room])
            for fault in _lost(by_room[room], by_receiver, who)
        ),
        *(fault for got in by_receiver.values() for fault in (*_duplicated(got), *_out_of_order(got, known))),
        *_misnumbered(received, known),
    ]
    handled = {one.uuid: one for one in received}
    waits = [(known[one.uuid].at, one.at - known[one.uuid].at) for one in received if one.uuid in known]
    return Verdict(
        sent=len(sent),
        rooms=len(by_room),
        expected=sum(len(members[message.room]) for message in sent),
        received=len(received),
        faults=tuple(faults),
        latency=_latency([wait for _, wait in waits]),
        calm_latency=_latency([wait for due, wait in waits if due < disturbed_at]),
        by_worker=_counted(one.worker for one in handled.values()),
        again=sum(one.attempt > 1 or one.recovered for one in handled.values()),
        recovered=sum(one.recovered for one in handled.values()),
    )


def _lost(
    messages: Sequence[Sent], by_receiver: Mapping[tuple[str, str], list[Received]], receiver: str
) -> list[Fault]:
    """Of the messages of one room."""
    arrived = {one.uuid for one in by_receiver.get((messages[0].room, receiver), ())}
    return [
        Fault(Kind.LOST, one.room, receiver, f"message {one.sequence} of {one.sender} ({one.uuid}) never arrived")
        for one in messages
        if one.uuid not in arrived
    ]


def _duplicated(got: Iterable[Received]) -> list[Fault]:
    seen: set[str] = set()
    faults = []
    for one in got:
        if one.uuid in seen:
            faults.append(_fault(Kind.DUPLICATED, one, f"number {one.number} ({one.uuid}) arrived once more"))
        seen.add(one.uuid)
    return faults


def _out_of_order(got: Iterable[Received], known: Mapping[str, Sent]) -> list[Fault]:
    """Per room the numbers must rise, and per room and sender the sender's own count must.

    What arrives once more is a duplicate, and is not counted as out of order as well.
    """
    faults = []
    seen: set[str] = set()
    number = 0
    sequences: dict[str, int] = defaultdict(int)
    for one in got:
        if one.uuid in seen:
            continue
        seen.add(one.uuid)
        message = known.get(one.uuid)
        before = sequences[message.sender] if message else 0
        if one.number < number:
            faults.append(_fault(Kind.OUT_OF_ORDER, one, f"number {one.number} arrived after number {number}"))
        elif message and message.sequence < before:
            what = f"message {message.sequence} of {message.sender} arrived after its message {before}"
            faults.append(_fault(Kind.OUT_OF_ORDER, one, what))
        number = max(number, one.number)
        if message:
            sequences[message.sender] = max(before, message.sequence)
    return faults


def _misnumbered(received: Iterable[Received], known: Mapping[str, Sent]) -> list[Fault]:
    """Everybody must see a message under the same number, a number must mean one message, and none may be unused."""
    faults = []
    number_of: dict[str, Received] = {}
    used: dict[str, dict[int, str]] = defaultdict(dict)
    for one in received:
        first = number_of.setdefault(one.uuid, one)
        holder = used[one.room].setdefault(one.number, one.uuid)
        if one.uuid not in known:
            faults.append(_fault(Kind.MISNUMBERED, one, f"number {one.number} ({one.uuid}) was sent by nobody"))
        elif first.number != one.number:
            what = f"{one.uuid} is number {one.number} here and number {first.number} for {first.receiver}"
            faults.append(_fault(Kind.MISNUMBERED, one, what))
        elif holder != one.uuid:
            what = f"number {one.number} is both {holder} and {one.uuid}"
            faults.append(_fault(Kind.MISNUMBERED, one, what))
    for room, numbers in used.items():
        unused = [str(number) for number in range(1, max(numbers) + 1) if number not in numbers]
        if unused:
            faults.append(Fault(Kind.MISNUMBERED, room, "", f"nobody saw number {', '.join(unused[:10])}"))
    return faults


def _fault(kind: Kind, one: Received, text: str) -> Fault:
    return Fault(kind, one.room, one.receiver, text)


def _latency(seconds: Sequence[float]) -> Latency | None:
    if not seconds:
        return None
    ordered = sorted(seconds)

    def rank(share: float) -> float:
        return round(ordered[math.ceil(share * len(ordered)) - 1] * 1000, 3)

    return Latency(rank(0.50), rank(0.95), rank(0.99), rank(1.0))


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[name] += 1
    return dict(sorted(counts.items()))
