from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from gobroke_dist.supervisor import Child, Report, StartFailed, Supervisor
from tests.eventually import eventually, eventually_sync

READY = 'import os, sys; os.write(int(sys.argv[1]), b\'{"addresses": ["ws://x:%d/"]}\\n\' % os.getpid())\n'
WAITS = READY + "import signal; signal.sigwait([signal.SIGTERM]); print('bye')\n"
SIGWAIT = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"


def child(name: str, code: str, seen: list[Report | None] | None = None) -> Child:
    def command(last: Report | None, ready_fd: int) -> Sequence[str]:
        if seen is not None:
            seen.append(last)
        return [sys.executable, "-c", SIGWAIT + code, str(ready_fd)]

    return Child(name, command)


class Screen:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, text: str) -> None:
        self.lines.append((name, text))


@contextlib.asynccontextmanager
async def supervised(
    *children: Child, show: Callable[[str, str], None], stop_timeout: float = 5.0
) -> AsyncIterator[tuple[Supervisor, dict[str, Report]]]:
    reports: dict[str, Report] = {}
    supervisor = Supervisor(children, show=show, stop_timeout=stop_timeout)
    task = asyncio.create_task(supervisor.run(ready=reports.update))
    await eventually(lambda: reports or task.done(), within=20)
    yield supervisor, reports
    supervisor.stop()
    await asyncio.wait_for(task, 20)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


async def test_children_run_until_stop_and_their_output_has_their_name() -> None:
    """All are ready, then SIGTERM ends them, and what they print at the end is still shown."""
    screen = Screen()
    async with supervised(child("a-1", WAITS), child("b-1", WAITS), show=screen) as (supervisor, reports):
        pids = supervisor.pids
        assert reports == {name: Report((f"ws://x:{pid}/",)) for name, pid in pids.items()}
    assert sorted(screen.lines) == [("a-1", "bye"), ("b-1", "bye")]
    assert supervisor.pids == {}
    assert not any(map(runs, pids.values()))


async def test_a_child_that_is_killed_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """It gets what it reported last, so that an edge can keep its port; the others are left alone."""
    seen: list[Report | None] = []
    async with supervised(child("a-1", WAITS, seen), child("b-1", WAITS), show=Screen()) as (supervisor, reports):
        before = supervisor.pids
        os.kill(before["a-1"], signal.SIGKILL)
        await eventually(lambda: supervisor.pids.get("a-1") not in (None, before["a-1"]))
        assert supervisor.pids["b-1"] == before["b-1"]
    assert seen[:2] == [None, reports["a-1"]]
    assert "a-1 ended (killed by SIGKILL)" in caplog.text


@pytest.mark.parametrize("code", [2, 3, 4])
async def test_a_start_that_can_not_succeed_ends_everything(code: int) -> None:
    """The child's exit code and last line are the error's, and the other child is stopped."""
    broken = child("b-1", f"print('port 80 is in use'); raise SystemExit({code})")
    supervisor = Supervisor([child("a-1", WAITS), broken], show=Screen(), stop_timeout=5)
    with pytest.raises(StartFailed, match="port 80 is in use") as caught:
        await asyncio.wait_for(supervisor.run(), 20)
    assert (caught.value.child, caught.value.exit_code) == ("b-1", code)
    assert supervisor.pids == {}


async def test_a_start_that_may_succeed_later_is_tried_again(tmp_path: Path) -> None:
    """Any other way to end before being ready is not final."""
    flag = tmp_path / "second"
    code = f"import pathlib; f = pathlib.Path({str(flag)!r})\nif not f.exists(): f.touch(); raise SystemExit(1)\n"
    async with supervised(child("a-1", code + WAITS), show=Screen()) as (_, reports):
        assert list(reports) == ["a-1"]


async def test_after_it_was_ready_no_exit_code_is_final() -> None:
    """Redis away (3) at a later start is no reason to end the others."""
    seen: list[Report | None] = []
    code = READY + "raise SystemExit(3)"
    async with supervised(child("a-1", code, seen), child("b-1", WAITS), show=Screen()):
        await eventually(lambda: len(seen) >= 3)


async def test_a_child_that_does_not_end_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """SIGKILL follows SIGTERM after the stop timeout."""
    stubborn = child("a-1", READY + "import time; time.sleep(600)")
    async with supervised(stubborn, show=Screen(), stop_timeout=0.2) as (supervisor, _):
        pid = supervisor.pids["a-1"]
    assert not runs(pid)
    assert "a-1 did not end within 0.2 s" in caplog.text


async def test_a_child_that_never_stops_talking_costs_no_memory() -> None:
    """A line without an end is passed on in pieces."""
    screen = Screen()
    async with supervised(child("a-1", "print('x' * 1_000_000)\n" + WAITS), show=screen):
        await eventually(lambda: sum(len(text) for _, text in screen.lines) >= 1_000_000)
    assert max(len(text) for _, text in screen.lines) <= 2 << 16


async def test_a_problem_in_the_caller_stops_the_children() -> None:
    """What ``ready`` raises is raised, after all children have ended."""

    def broken(reports: dict[str, Report]) -> None:
        raise ValueError("no terminal")

    supervisor = Supervisor([child("a-1", WAITS)], show=Screen(), stop_timeout=5)
    with pytest.raises(ValueError, match="no terminal"):
        await asyncio.wait_for(supervisor.run(ready=broken), 20)
    assert supervisor.pids == {}


def test_children_die_with_their_supervisor() -> None:
    """kill -9 of the supervisor leaves no child behind."""
    program = f"""
import asyncio, sys
from tests.roles.test_supervisor import WAITS, child
from gobroke_dist.supervisor import Supervisor
async def main():
    code = {READY!r} + "import time; time.sleep(600)"
    supervisor = Supervisor([child("a-1", code)], show=print, stop_timeout=5)
    await supervisor.run(ready=lambda reports: print(supervisor.pids["a-1"], flush=True))
asyncio.run(main())
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert runs(pid)
        owner.kill()
    eventually_sync(lambda: not runs(pid))
