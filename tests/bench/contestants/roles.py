"""What every contestant's program is made of. Standard library only.

Each contestant is a module that is run as ``python -m tests.bench.contestants.NAME ROLE``:
``load`` sends ``job.messages`` as fast as its documentation says one can, and prints how long it took;
``work`` is a worker (one process, or all of them) until SIGTERM; ``drip`` sends single messages with gaps.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tests.bench.board import Slot
from tests.bench.job import Job, current

CONCURRENCY = 100
"""Sends that an asynchronous contestant has under way at once."""


def handler(job: Job, slot: Slot) -> Callable[[str], None]:
    """What a handler does."""
    return slot.age if job.measure == "age" else slot.count


def main(roles: dict[str, Callable[[Job], None]]) -> None:
    """Play the role that the command line names."""
    roles[sys.argv[1]](current())


def timed(job: Job, send: Callable[[int, str], object]) -> None:
    """Send all, one after another."""
    text, longest = job.text, 0.0
    started = time.perf_counter()
    for number in range(job.messages):
        before = time.perf_counter()
        send(number, text)
        longest = max(longest, time.perf_counter() - before)
    report(seconds=time.perf_counter() - started, blocked=longest)


def dripped(job: Job, send: Callable[[int, str], object]) -> None:
    """Send single messages that say when they were sent."""
    dice = random.Random(job.seed)
    for number in range(job.messages):
        time.sleep(dice.uniform(*job.gaps))
        send(number, str(time.monotonic_ns()))


async def timed_async(job: Job, send: Callable[[int, str], Awaitable[object]]) -> None:
    """Send all from an event loop, some at once."""
    text, numbers = job.text, iter(range(job.messages))

    async def sender() -> None:
        for number in numbers:
            await send(number, text)

    started = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(CONCURRENCY)))
    report(seconds=time.perf_counter() - started)


async def dripped_async(job: Job, send: Callable[[int, str], Awaitable[object]]) -> None:
    """As ``dripped``, from an event loop."""
    dice = random.Random(job.seed)
    for number in range(job.messages):
        await asyncio.sleep(dice.uniform(*job.gaps))
        await send(number, str(time.monotonic_ns()))


def report(**figures: float) -> None:
    """Print what was measured, for who started this process."""
    print(json.dumps(figures), flush=True)


def until_told() -> None:
    """Wait for SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - not in every peer's environment
    except ImportError:
        asyncio.run(work)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
