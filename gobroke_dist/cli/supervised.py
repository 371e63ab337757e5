"""Roles as child processes of this one."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from gobroke_dist.cli.options import as_environment
from gobroke_dist.settings import Settings
from gobroke_dist.supervisor import Child, Report, Supervisor

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")
_GRACE = 5.0  # seconds that a child has to leave after its drain timeout


def children(
    role: str, path: str, settings: Settings, *, count: int, arguments: Sequence[str] = (), port: int | None = None
) -> list[Child]:
    """``count`` children of one role, named ``role-1`` and so on.

    Args:
        role: the command.
        path: the application's.
        settings: theirs.
        count: how many.
        arguments: for the command.
        port: the first one's; the next ones count up, unless it is 0. The same is true of ``api_port``.
    """
    return [
        _child(role, path, settings, index=index, arguments=arguments, port=port and port + index)
        for index in range(count)
    ]


async def supervise(
    group: Sequence[Child], settings: Settings, *, ready: Callable[[dict[str, Report]], None] | None = None
) -> None:
    """Run children until SIGTERM or SIGINT. Raises ``StartFailed``."""
    supervisor = Supervisor(group, show=_printer(group, settings), stop_timeout=settings.drain_timeout + _GRACE)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
    await supervisor.run(ready=ready)


def _child(
    role: str, path: str, settings: Settings, *, index: int, arguments: Sequence[str], port: int | None
) -> Child:
    name = f"{role}-{index + 1}"
    node_id = f"{settings.node_id}-{name}" if settings.node_id else name

    def command(last: Report | None, ready_fd: int) -> list[str]:
        words = [sys.executable, "-m", "gobroke_dist.cli", role, path, "--ready-fd", str(ready_fd), *arguments]
        # Started again, an edge takes the address that its clients know.
        bound = _port(last) if last is not None and last.addresses else port
        return words if bound is None else [*words, "--port", str(bound)]

    own = {"node_id": node_id, "api_port": settings.api_port and settings.api_port + index}
    return Child(name, command, as_environment(settings.model_copy(update=own)))


def _port(report: Report) -> int | None:
    return urlsplit(report.addresses[0]).port


def _printer(group: Sequence[Child], settings: Settings) -> Callable[[str, str], None]:
    """Shows a child's line behind its name; a JSON line stays alone, it names its node itself."""
    if settings.log_format == "json":
        return lambda _, line: print(line, flush=True)
    console = Console(soft_wrap=True, highlight=False)
    width = max(len(child.name) for child in group)
    colours = {child.name: _COLOURS[index % len(_COLOURS)] for index, child in enumerate(group)}
    return lambda name, line: console.print(Text(f"{name:<{width}} | ", style=colours[name]), Text(line), sep="")
