"""How far an audit is: bars on a terminal, else a line now and then. On standard error, beside the result."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gobroke_dist.audit.driver import Audit

_FRAME = 0.2
_LINE = 5.0


@contextlib.asynccontextmanager
async def progress(audit: Audit, total: int, *, quiet: bool) -> AsyncIterator[None]:
    """Show it for as long as the block runs.

    Args:
        audit: the one that runs.
        total: its messages.
        quiet: print no lines; a terminal gets its bars all the same.
    """
    if sys.stderr.isatty():
        showing = asyncio.create_task(_bars(audit, total), name="audit-progress")
    elif quiet:
        yield
        return
    else:
        showing = asyncio.create_task(_lines(audit, total), name="audit-progress")
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait([showing])


async def _bars(audit: Audit, total: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        accepted = shown.add_task("accepted", total=total)
        finished = shown.add_task("finished", total=total)
        try:
            while True:
                shown.update(accepted, completed=audit.accepted)
                shown.update(finished, completed=audit.finished)
                await asyncio.sleep(_FRAME)
        finally:
            shown.update(accepted, completed=audit.accepted)
            shown.update(finished, completed=audit.finished)


async def _lines(audit: Audit, total: int) -> None:
    began = time.monotonic()

    def say() -> None:
        seconds = time.monotonic() - began
        typer.echo(f"{seconds:4.0f} s: {audit.accepted} of {total} accepted, {audit.finished} finished", err=True)

    try:
        while True:
            await asyncio.sleep(_LINE)
            say()
    finally:
        say()
