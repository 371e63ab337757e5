"""The one call that settles what a worker has finished and takes new messages: KEYS and ARGV of ``exchange.lua``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gobroke_dist.keys import Channel, ClusterKeys, QueueKeys
from gobroke_dist.tasks.delivery import Item, Publication, Sending, Settlement, Standing, Ticket
from gobroke_dist.tasks.parcel import lane_of, place_args
from gobroke_dist.tasks.scripts import Argument, queue_keys

_STANDINGS: dict[bytes, Standing] = {b"held": "held", b"done": "done", b"stale": "stale"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What Redis said.

    Attributes:
        leased: whether this worker's lease was valid; without it nothing was taken.
        standings: of each settlement, with Redis' own words where it failed.
        duplicates: how many of the enqueued messages were known already.
        wait: seconds until a message is due that waits for a time; None: none does.
        items: what was taken.
        others_wait: nothing was asked for, and there is something to run.
    """

    leased: bool
    standings: Sequence[tuple[Standing, str]]
    duplicates: int
    wait: float | None
    items: Sequence[Item]
    others_wait: bool


class Counter:
    """Where one worker settles and takes the messages of one queue.

    Args:
        queue: which.
        worker: this worker's id.
        lease: its length, in milliseconds.
        window: the dedup window, in milliseconds.
        kept: how many data for a node its log keeps, and for how many milliseconds.
        watch: from which attempt on Redis is to note that messages start, because all that is taken starts; 0: never.
    """

    def __init__(
        self,
        queue: QueueKeys,
        *,
        worker: str,
        lease: int,
        window: int,
        kept: tuple[int, int],
        watch: int = 0,
    ) -> None:
        self._queue = queue
        self._before: list[Argument] = [worker]
        self._limits: list[Argument] = [lease, window]
        self._kept = kept
        self._watch = watch
        own = queue_keys(queue)
        self._own = [
            *(queue.heartbeats, queue.acks(worker), queue.done(worker), queue.deliveries),
            *(queue.dead, queue.dead_messages, *own),
        ]
        self._first_of = {queue.queue: len(self._own) - len(own) + 1}

    def call(
        self,
        number: int,
        settlements: Sequence[Settlement],
        take: int,
        *,
        most: int,
        begun: int,
        ahead: int = 0,
        memory: int = 1,
    ) -> tuple[list[str], list[Argument]]:
        """KEYS and ARGV.

        Args:
            number: larger than that of every call before.
            settlements: to be told, in their order.
            take: how many messages.
            most: how many, where many wait.
            begun: how many messages this process may have begun, and not told, at any time until its next call.
            ahead: how many messages to show of what comes after those that this call makes ready.
            memory: of how many calls Redis is to remember what they settled: 1, if each is answered before the next.
        """
        sheet = _Sheet(self._queue, self._own.copy(), self._first_of, self._kept)
        args = sheet.args
        args += (*self._before, number, *self._limits, take, most, begun, self._watch, ahead, memory, len(settlements))
        for settlement in settlements:
            sheet.add(settlement)
        return sheet.keys, args


class _Sheet:
    """KEYS and ARGV that are being written."""

    def __init__(self, queue: QueueKeys, keys: list[str], first_of: dict[str, int], kept: tuple[int, int]) -> None:
        self.keys = keys
        self.args: list[Argument] = []
        self._queue = queue
        self._cluster = ClusterKeys(queue.prefix)
        self._first_of = first_of
        self._kept = kept

    def add(self, one: Settlement) -> None:
        """What ``parts/settle.lua`` reads."""
        ticket = one.ticket
        lane = self._lane(self._queue, ticket.key)
        keyed = int(ticket.key is not None)
        args = self.args
        args += (one.operation, ticket.id, ticket.fence, keyed, ticket.key or "", lane, one.payload, one.delay)
        args += (one.goes_on.id, one.goes_on.fence, 0) if one.goes_on else ("", "", 0)
        first = len(args)
        for effect in one.effects:
            if isinstance(effect, Publication):
                channel = effect.channel
                args += ("p", self._log_of(channel), channel.field, channel.name, *self._kept, effect.data)
            elif isinstance(effect, Sending):
                nodes = self._cluster.channel("")
                args += ("s", self._sending(), nodes.name, nodes.log, *self._kept, effect.data)
                args += (len(effect.to), len(effect.groups), *effect.to, *effect.groups)
            else:
                queue = QueueKeys(self._queue.prefix, effect.queue)
                args += ("e", self._first_key(queue), *place_args(effect, self._lane(queue, effect.key)))
        args[first - 1] = len(args) - first

    def _lane(self, queue: QueueKeys, key: str | None) -> int:
        self.keys.append(lane_of(queue, key))
        return len(self.keys)

    def _log_of(self, channel: Channel) -> int:
        """The index of the posts' key, which the channel's log follows."""
        return self._index(channel.log, lambda: [self._cluster.posts, channel.log])

    def _sending(self) -> int:
        """The index of the first key of what sends to clients."""
        return self._index(self._cluster.clients, lambda: self._cluster.sending)

    def _first_key(self, queue: QueueKeys) -> int:
        return self._index(queue.queue, lambda: queue_keys(queue))

    def _index(self, name: str, keys: Callable[[], list[str]]) -> int:
        """Where these keys begin, which stand there once."""
        first = self._first_of.get(name)
        if first is None:
            first = len(self.keys) + 1
            self._first_of = {**self._first_of, name: first}
            self.keys += keys()
        return first


def read(reply: Any) -> Answer | None:
    """What ``exchange.lua`` returned; None: a later call of this worker was carried out before."""
    if reply[0] == b"late":
        return None
    state, standings, duplicates, now, wait, taken, others_wait = reply
    return Answer(
        leased=state == b"ok",
        standings=[_standing(one) for one in standings],
        duplicates=duplicates,
        wait=None if wait < 0 else wait / 1000,
        items=list(_items(taken, now)),
        others_wait=bool(others_wait),
    )


def _standing(text: bytes) -> tuple[Standing, str]:
    known = _STANDINGS.get(text)
    return (known, "") if known else ("failed", text.decode("utf-8", "replace"))


def _items(taken: Iterable[Sequence[Any]], now: int) -> Iterable[Item]:
    for id_, payload, key_, fence, attempt, recovered, followers in taken:
        key = None if key_ is None else key_.decode()
        ticket = Ticket(id_.decode(), key, fence, attempt, recovered > 0, recovered > 1, now)
        yield Item(ticket, payload, tuple(_followers(followers, key, now)) if followers else ())


def _followers(followers: Iterable[Sequence[Any]], key: str | None, now: int) -> Iterable[Item]:
    for id_, payload, fence in followers:
        yield Item(Ticket(id_.decode(), key, fence, 1, recovered=False, crashed=False, at=now), payload)
