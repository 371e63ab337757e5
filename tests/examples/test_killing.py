"""The demo's kill: whom it hits, and what the others do meanwhile. Two processes that only sleep play the workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo import killing
from examples.demo.cluster import Cluster, Member
from examples.demo.drive import Rush
from examples.demo.killing import CommandKiller, ProcessKiller
from examples.demo.plan import Plan
from examples.demo.record import Record
from examples.demo.report import Report
from examples.demo.verdict import Received, Sent, judge
from tests.eventually import eventually, eventually_sync

BUSY = 1
"""Which of the two handled most."""


class Scripted(Cluster):
    """A cluster that says what the test tells it to say.

    Attributes:
        held: for each worker, what it has in its hands, at one look after the other; the last one goes on for ever.
        waiting: the same for the queue.
        stopped: for each look at what somebody holds: who stood still then.
    """

    def __init__(self, pids: list[int]) -> None:
        super().__init__(Path(), None)  # type: ignore[arg-type]
        self.pids = pids
        self.held: dict[str, list[int]] = {f"worker-{place}": [0] for place in range(2)}
        self.waiting = [1000]
        self.stopped: list[list[bool]] = []

    async def messages_held(self, worker: str) -> int:
        self.stopped.append([stands_still(pid) for pid in self.pids])
        return next_of(self.held[worker])

    async def messages_waiting(self) -> int:
        return next_of(self.waiting)

    async def until_complete(self, *, without: int = 0) -> list[Member]:
        return [*(one for one in members(self.pids) if one.pid != without), Member("worker", "worker-9", 999, ())]

    async def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)


class Begun(Rush):
    """A rush that notes who stood still when it began."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(Plan(), Record({}))
        self.pids = pids
        self.stopped: list[bool] = []

    @property
    def busiest(self) -> str:
        return f"host:{self.pids[BUSY]}"

    def begin(self) -> None:
        super().begin()
        self.stopped = [stands_still(pid) for pid in self.pids]


def next_of(script: list[int]) -> int:
    return script.pop(0) if len(script) > 1 else script[0]


def members(pids: list[int]) -> list[Member]:
    return [Member("worker", f"worker-{place}", pid, ()) for place, pid in enumerate(pids)]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]


def stands_still(pid: int) -> bool:
    """Asked right after the signal, so it is given a moment to arrive."""
    try:
        return eventually_sync(lambda: state(pid) == "T", within=0.5)
    except AssertionError:
        return False


@pytest.fixture
def pids() -> Iterator[list[int]]:
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield [process.pid for process in processes]
    for process in processes:
        process.kill()
        process.wait(10)


@pytest.fixture
def cluster(pids: list[int]) -> Scripted:
    return Scripted(pids)


@pytest.fixture
def rush(pids: list[int]) -> Begun:
    return Begun(pids)


async def killed(cluster: Scripted, rush: Rush) -> ProcessKiller:
    killer = ProcessKiller(cluster, members(cluster.pids))
    await killer(rush)
    return killer


async def test_the_rush_begins_when_all_workers_stand_still(cluster: Scripted, rush: Begun) -> None:
    """However slow who kills is, the workers can't have finished before it looks."""
    cluster.held["worker-1"] = [3]
    await killed(cluster, rush)
    assert rush.stopped == [True, True]
    assert rush.hurry.is_set()


async def test_a_worker_that_has_messages_in_its_hands_is_killed_where_it_stands(
    cluster: Scripted, rush: Begun
) -> None:
    cluster.held["worker-0"] = [2]
    killer = await killed(cluster, rush)
    assert killer.killing.victim == f"worker-0 (pid {cluster.pids[0]})"
    await eventually(lambda: state(cluster.pids[0]) == "Z")
    assert cluster.stopped == [[True, True], [True, True]]


async def test_if_none_has_any_the_busiest_goes_on_until_it_has(cluster: Scripted, rush: Begun) -> None:
    """It is looked at while it stands still, so it can't finish what it is killed with."""
    cluster.held["worker-1"] = [0, 0, 0, 5]
    killer = await killed(cluster, rush)
    assert killer.killing.victim == f"worker-1 (pid {cluster.pids[1]})"
    assert len(cluster.stopped) == 5
    assert all(all(one) for one in cluster.stopped)


async def test_the_others_go_on_afterwards(cluster: Scripted, rush: Begun) -> None:
    cluster.held["worker-1"] = [1]
    killer = await killed(cluster, rush)
    await eventually(lambda: state(cluster.pids[0]) == "S")
    assert killer.killing.replaced_by == "worker-9 (pid 999)"


async def test_it_waits_until_the_rush_has_arrived_in_redis(cluster: Scripted, rush: Begun) -> None:
    cluster.held["worker-1"] = [1]
    cluster.waiting = [0, 10, rush.enough - 1, rush.enough, 9999]
    await killed(cluster, rush)
    assert cluster.waiting == [9999]


async def test_it_does_not_wait_for_a_rush_that_never_arrives(
    cluster: Scripted, rush: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the workers would lose their leases, and nothing would be shown."""
    monkeypatch.setattr(killing, "STANDSTILL", 0.1)
    cluster.held["worker-1"] = [1]
    cluster.waiting = [0]
    await asyncio.wait_for(killed(cluster, rush), 10)


async def test_a_kill_in_vain_fails_the_check(cluster: Scripted, rush: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killing, "PATIENCE", 0.1)
    killer = await killed(cluster, rush)
    assert killer.killing.victim == f"worker-1 (pid {cluster.pids[1]})"
    assert not checked(killer, again=False).good
    assert checked(killer, again=True).good


def checked(killer: ProcessKiller, *, again: bool) -> Report:
    """A check in which one message was sent and arrived, perhaps because it was handled again."""
    sent = Sent("u", "room", "ann", 1, 0.0)
    received = Received("u", "room", 1, "ann", 0.1, recovered=again)
    return Report(judge([sent], [received], {"room": frozenset({"ann"})}), Record({}), killer.killing, 1.0)


async def test_a_command_is_run_in_the_middle_of_the_rush(pids: list[int]) -> None:
    """It stops nobody: what it kills may be on another machine."""
    rush = Begun(pids)
    killer = CommandKiller("sh -c 'echo no such container; exit 3'")
    rush.until_under_way = under_way = UnderWay(rush)  # type: ignore[method-assign, assignment]
    await killer(rush)
    assert under_way.begun
    assert rush.stopped == [False, False]
    assert killer.killing.how == "exit code 3: no such container"
    assert not killer.killing.aimed


class UnderWay:
    def __init__(self, rush: Rush) -> None:
        self._rush = rush
        self.begun = False

    async def __call__(self) -> None:
        self.begun = self._rush.hurry.is_set()
