"""Commands that kill or pause workers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from gobroke_dist.audit import disturbing
from gobroke_dist.audit.disturbing import CommandInvalid, Disturber
from gobroke_dist.audit.record import Disturbed
from tests.eventually import eventually


class Stage:
    """A disturber with a record, and a clock that counts its questions."""

    def __init__(self, *commands: str, every: float = 0.01) -> None:
        self.noted: list[Disturbed] = []
        self.over = asyncio.Event()
        self.asked = 0
        self.disturber = Disturber(commands, every=every, note=self.noted.append, now=self._now)

    def _now(self) -> int:
        self.asked += 1
        return self.asked

    async def until(self, count: int) -> None:
        """Run until so many commands have ended, one way or the other."""
        running = asyncio.create_task(self.disturber.run(self.over))
        await eventually(lambda: self.disturber.done + self.disturber.failures.total() >= count)
        self.over.set()
        await asyncio.wait_for(running, 5)


async def test_commands_take_turns_and_are_noted_with_the_time_of_their_start() -> None:
    stage = Stage("true one", "true two", "true three")
    await stage.until(4)
    turns = ["true one", "true two", "true three", "true one"]
    assert stage.noted[:4] == [Disturbed(command, "", at) for at, command in enumerate(turns, 1)]
    assert stage.disturber.done == len(stage.noted)
    assert not stage.disturber.failures


async def test_a_command_that_fails_did_nothing_to_anybody_and_says_why() -> None:
    stage = Stage("sh -c 'echo first >&2; echo no such container >&2; exit 3'")
    await stage.until(1)
    assert stage.noted == []
    (why,) = stage.disturber.failures
    assert why.endswith("ended with code 3: no such container")


async def test_a_command_that_can_not_be_started_is_a_failure(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o700)
    stage = Stage(str(program))
    await stage.until(1)
    (why,) = stage.disturber.failures
    assert "could not be started" in why


async def test_a_command_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disturbing, "_TIMEOUT", 0.2)
    stage = Stage("sleep 60")
    began = time.monotonic()
    await stage.until(1)
    assert list(stage.disturber.failures) == ["'sleep 60' took longer than 0.2 s"]
    assert time.monotonic() - began < 30


async def test_a_command_that_runs_when_the_audit_is_over_is_waited_for(tmp_path: Path) -> None:
    """It may be one that has stopped a worker, and is about to let it go on."""
    began, may_end = tmp_path / "began", tmp_path / "may-end"
    stage = Stage(f"sh -c 'touch {began}; until test -e {may_end}; do sleep 0.01; done'")
    running = asyncio.create_task(stage.disturber.run(stage.over))
    await eventually(began.exists)
    stage.over.set()
    await asyncio.sleep(0)
    assert not running.done()
    may_end.touch()
    await asyncio.wait_for(running, 5)
    assert len(stage.noted) == 1


async def test_without_commands_nothing_is_done() -> None:
    stage = Stage()
    await asyncio.wait_for(stage.disturber.run(stage.over), 5)
    assert stage.asked == 0


@pytest.mark.parametrize("command", ["", "kill 'me", "no-such-program-at-all -9"])
def test_a_command_that_can_not_be_run_is_refused_before_anything_is_sent(command: str) -> None:
    with pytest.raises(CommandInvalid):
        Disturber([command], every=1, note=lambda _: None, now=lambda: 0)
