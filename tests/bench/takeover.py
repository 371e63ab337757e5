"""How long a message waits whose worker is killed in the middle of its handler (contract W9)."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import redis

from gobroke_dist.message import Message
from gobroke_dist.outlet import Task
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.lease import RENEWALS
from tests.bench.contestants.takeover import LOGIC, settings
from tests.bench.crew import Crew, Failed, crew
from tests.bench.field import Contestant
from tests.bench.job import Job
from tests.bench.server import Server

ABREAST = 5
"""Trials at once: each needs two processes, and most of its time goes by waiting."""

_PATIENCE = 30.0
_POLL = 0.01
_KEYS = 100


class Trial:
    """Two workers, one of which is killed.

    Args:
        job: with a prefix of this trial's own; ``messages`` of other keys keep the workers busy.
        client: to the same Redis.
    """

    def __init__(self, job: Job, client: redis.Redis) -> None:
        self.job = job
        self._client = client
        self._broker = OrderedBroker(settings(job))
        self._killed = 0.0
        for number in range(self.job.messages):
            self._send(f"key-{number % _KEYS}", "x")

    def is_up(self) -> bool:
        """Whether both workers fetch messages."""
        return self._client.llen(f"{self.job.prefix}:ready") == 2

    def begin(self) -> None:
        """Send the message whose handler is interrupted."""
        self._send("held", "held")

    def has_begun(self) -> bool:
        """Whether its handler runs."""
        return bool(self._starts())

    def kill(self) -> None:
        """Kill the process in which it runs."""
        self._killed = time.monotonic()
        os.kill(self._starts()[0][0], signal.SIGKILL)

    def is_over(self) -> bool:
        """Whether it has started again."""
        return len(self._starts()) > 1

    def seconds(self) -> float:
        """From the kill to its second start. Raises ``Failed`` where the trial was not what it was to be."""
        (first, _), (second, at), *more = self._starts()
        if first == second or more:
            raise Failed(f"it started in the processes {first}, {second}, and {len(more)} times more")
        if self.job.messages and not self._broker.do_qsize(LOGIC):
            raise Failed("the workers were not busy to the end")
        return at - self._killed

    def close(self) -> None:
        """Drop the connections."""
        self._broker.close()

    def _send(self, key: str, text: str) -> None:
        self._broker.enqueue(to_dramatiq(Task(LOGIC, key, Message(to_logic=LOGIC, message_raw=text))))

    def _starts(self) -> list[tuple[int, float]]:
        lines = self._client.lrange(f"{self.job.prefix}:starts", 0, -1)
        return [(int(pid), float(at)) for pid, at in (line.split() for line in lines)]


def trials(server: Server, contestant: Contestant, job: Job, count: int) -> list[float]:
    """Seconds from the kill to the message's next start, of each. Raises ``Failed``.

    Args:
        server: empty.
        contestant: the one that this measures.
        job: what is the same for all.
        count: how many.
    """
    program = replace(contestant, module="takeover")
    seconds: list[float] = []
    while len(seconds) < count:
        numbers = range(len(seconds), min(count, len(seconds) + ABREAST))
        jobs = [replace(job, prefix=f"takeover-{number}", url=server.url) for number in numbers]
        with _stages(server, program, jobs) as stages:
            seconds += _together(stages, random.Random(numbers[0]))
    return seconds


@contextlib.contextmanager
def _stages(server: Server, program: Contestant, jobs: Sequence[Job]) -> Iterator[list[Trial]]:
    server.empty()
    with contextlib.ExitStack() as stack:
        stages = [stack.enter_context(contextlib.closing(Trial(job, server.client))) for job in jobs]
        crews = [stack.enter_context(crew(program, job)) for job in jobs]
        _await(stages, Trial.is_up, crews)
        yield stages


def _together(stages: Sequence[Trial], dice: random.Random) -> list[float]:
    for one in stages:
        one.begin()
    _await(stages, Trial.has_begun)
    # Anywhere between two renewals of the lease.
    moments = [dice.uniform(0, settings(one.job).worker_lease / RENEWALS) for one in stages]
    began = time.monotonic()
    for moment, one in sorted(zip(moments, stages, strict=True), key=lambda pair: pair[0]):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        one.kill()
    _await(stages, Trial.is_over)
    return [one.seconds() for one in stages]


def _await(stages: Sequence[Trial], check: Callable[[Trial], bool], crews: Sequence[Crew] = ()) -> None:
    deadline = time.monotonic() + _PATIENCE
    waiting = list(stages)
    while waiting := [one for one in waiting if not check(one)]:
        for workers in crews:
            workers.check()
        if time.monotonic() > deadline:
            raise Failed(f"{len(waiting)} of {len(stages)} trials: not {check.__name__} within {_PATIENCE:g} s")
        time.sleep(_POLL)
