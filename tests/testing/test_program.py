"""A real process in the hands of a test."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from gobroke_dist.testing.faults import Program

CODE = """
import os, signal, sys, threading
signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), os._exit(3)))
print("ready", os.environ["WORD"], flush=True)
number = 0
while True:
    number += 1
    print("tick", number, flush=True)
    threading.Event().wait(0.01)
"""


def program() -> Program:
    return Program([sys.executable, "-c", CODE], environment={"WORD": "please"})


async def test_o8_a_program_is_waited_for_and_ends_with_the_block() -> None:
    async with program() as running:
        assert (await running.until(r"ready (\w+)"))[1] == "please"
        assert running.running
        pid = running.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not running.running


async def test_o8_a_frozen_program_does_nothing_until_it_goes_on() -> None:
    async with program() as running:
        await running.until("tick 3")
        with running.frozen():
            state = await asyncio.to_thread(_state_once_stopped, running.pid)
            assert state == "T"
            printed = running.output.count("tick")
        await running.until(f"tick {printed + 20}")


async def test_o8_sigterm_lets_it_finish_and_sigkill_does_not() -> None:
    async with program() as running:
        await running.until("ready")
        running.terminate()
        assert await running.ended() == 3
        assert running.output.endswith("bye\n")
    async with program() as running:
        await running.until("ready")
        running.kill()
        assert await running.ended() == -signal.SIGKILL


async def test_o8_a_program_that_ends_without_being_ready_is_told() -> None:
    async with Program([sys.executable, "-c", "print('no port left')"]) as running:
        with pytest.raises(ChildProcessError, match="no port left"):
            await running.until("ready")


def _state_once_stopped(pid: int) -> str:
    while True:
        with open(f"/proc/{pid}/stat") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
        if state == "T":
            return state
