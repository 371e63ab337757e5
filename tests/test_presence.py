"""How watchers are told, over a script of changes and a send that may fail."""

from __future__ import annotations

import pytest

from gobroke_dist import LogicBase, Message, MessageRejected, RedisUnavailable
from gobroke_dist.groups import Change, Groups
from gobroke_dist.presence import Presence


class Watcher(LogicBase):
    watches_groups = True


class Told:
    """Plays the groups, and takes what is sent."""

    def __init__(self, changes: list[Change]) -> None:
        self.left = changes
        self.asked: list[int] = []
        self.sent: list[tuple[str, str, str]] = []
        self.failures: list[Exception] = []

    async def changes(self, node: str, done: int, grace: float) -> list[Change]:
        self.asked.append(done)
        return [change for change in self.left if change.number > done][:2]

    async def send(self, message: Message) -> None:
        if self.failures:
            raise self.failures.pop()
        body = message.json()
        self.sent.append((message.to_logic[0], body["event"], body["client"]))


def presence(told: Told, *watchers: str) -> Presence:
    logics: dict[str, LogicBase] = {"other": LogicBase("other"), **{name: Watcher(name) for name in watchers}}
    groups: Groups = told  # type: ignore[assignment]
    return Presence(node="n1", logics=logics, groups=groups, send=told.send, grace=2)


CHANGES = [Change(4, True, "room", "ann"), Change(5, False, "room", "ann"), Change(7, True, "room", "ben")]


async def test_c6_all_that_is_new_is_told_to_every_watcher_and_called_done() -> None:
    """In order; and then nothing is asked for again."""
    told = Told(CHANGES)
    await presence(told, "a", "b").tell()
    assert told.sent == [
        (name, event, uuid)
        for event, uuid in (("joined", "ann"), ("left", "ann"), ("joined", "ben"))
        for name in ("a", "b")
    ]
    assert told.asked == [0, 5, 7]


async def test_c6_without_watchers_nothing_is_asked() -> None:
    """An application that watches no groups pays nothing."""
    told = Told(CHANGES)
    await presence(told).tell()
    assert told.asked == []


async def test_c6_what_could_not_be_sent_is_told_again() -> None:
    """From the change that failed on."""
    told = Told(CHANGES)
    teller = presence(told, "a")
    told.failures = [RedisUnavailable("away")]
    with pytest.raises(RedisUnavailable):
        await teller.tell()
    await teller.tell()
    assert told.asked == [0, 0, 5, 7]
    assert len(told.sent) == 3


async def test_c6_a_watcher_that_can_not_be_told_does_not_hold_up_the_others() -> None:
    """A middleware that rejects one message is no reason to tell no more."""
    told = Told(CHANGES)
    told.failures = [MessageRejected("no")]
    await presence(told, "a").tell()
    assert [uuid for _, _, uuid in told.sent] == ["ann", "ben"]


async def test_c6_a_node_that_begins_asks_and_leaves_the_telling_for_later() -> None:
    """What happened before is not lost by it."""
    told = Told(CHANGES)
    teller = presence(told, "a")
    await teller.begin()
    assert (told.asked, told.sent) == ([0], [])
    await teller.tell()
    assert len(told.sent) == 3
