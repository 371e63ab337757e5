"""A whole run: fifty people, and a worker killed in the middle of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from examples.demo.people import Person
from examples.demo.plan import Plan
from examples.demo.record import Record
from examples.demo.waiting import until

KILL_AT = 0.4  # of the messages
FULL_ENOUGH = 10  # messages that wait for each room
UNDER_WAY = 20  # of these that somebody has received: the workers are in the middle of the rest
GRACE = 2.0  # seconds after the last delivery in which a duplicate would still be seen
_TICK = 0.01

Kill = Callable[["Rush"], Awaitable[None]]
"""Begins the rush, kills a worker process in the middle of it, and has it replaced."""


async def drive(
    plan: Plan, urls: Sequence[str], *, kill: Kill | None, show: Callable[[Record], None], patience: float
) -> Record:
    """Run the plan; returns when everything has arrived, or nothing has for a while.

    Args:
        plan: who says what.
        urls: of the edges.
        kill: what to do in the middle; None: nothing.
        show: called again and again, to show progress.
        patience: seconds without any delivery after which the rest counts as lost.

    Raises:
        aiohttp.ClientError, TimeoutError: a client could not connect, or not join its rooms.
    """
    record = Record(plan.members)
    people = [Person(plan, number, record) for number in range(plan.clients)]
    listening: list[asyncio.Task[None]] = []
    showing = asyncio.create_task(_show(record, show))
    try:
        async with aiohttp.ClientSession() as session:
            for number, person in enumerate(people):
                await person.connect(session, urls[number % len(urls)])
            listening += [asyncio.create_task(person.listen()) for person in people]
            for person in people:
                await person.join()
            await _talk(plan, people, record, kill, patience)
            await asyncio.gather(*(person.leave() for person in people))
            await asyncio.gather(*listening)
    finally:
        for task in (showing, *listening):
            task.cancel()
    show(record)
    return record


class Rush:
    """Everybody says ten things at once: a worker that has nothing in its hands would be killed in vain."""

    def __init__(self, plan: Plan, record: Record) -> None:
        self.hurry = asyncio.Event()
        self.enough = FULL_ENOUGH * plan.rooms
        self._record = record

    @property
    def busiest(self) -> str:
        return self._record.busiest_worker()

    def begin(self) -> None:
        self._record.disturbed_at = asyncio.get_running_loop().time()
        self.hurry.set()

    async def until_under_way(self) -> None:
        await until(lambda: self._record.backlog >= self.enough, within=2)
        heard = len(self._record.heard)
        await until(lambda: len(self._record.heard) >= heard + UNDER_WAY, within=2)


async def _talk(plan: Plan, people: Sequence[Person], record: Record, kill: Kill | None, patience: float) -> None:
    rush = Rush(plan, record)
    talking = [asyncio.create_task(person.talk(rush.hurry)) for person in people]
    killing = asyncio.create_task(_kill_in_the_rush(plan, record, rush, kill)) if kill else None
    try:
        await _until_quiet(plan, record, patience)
        if killing is not None and (rush.hurry.is_set() or killing.done()):
            await killing
    finally:
        for task in (*talking, *((killing,) if killing else ())):
            task.cancel()
        for problem in await asyncio.gather(*talking, return_exceptions=True):
            if isinstance(problem, Exception):
                record.complaints.append(f"a client could not go on: {problem!r}")


async def _kill_in_the_rush(plan: Plan, record: Record, rush: Rush, kill: Kill) -> None:
    await until(lambda: len(record.sent) >= plan.messages * KILL_AT, within=math.inf)  # until cancelled
    await kill(rush)


async def _until_quiet(plan: Plan, record: Record, patience: float) -> None:
    now = asyncio.get_running_loop().time
    count, since = 0, now()
    while len(record.sent) < plan.messages or len(record.received) < record.expected:
        await asyncio.sleep(_TICK)
        if len(record.received) != count:
            count, since = len(record.received), now()
        if now() - since > patience:
            return
    await asyncio.sleep(GRACE)


async def _show(record: Record, show: Callable[[Record], None]) -> None:
    while True:
        show(record)
        await asyncio.sleep(0.2)
