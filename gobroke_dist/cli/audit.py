"""``gobroke audit``: is every message handled in order, once, and with its effects once?"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shlex
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gobroke_dist.application import load
from gobroke_dist.audit.driver import Audit, Plan
from gobroke_dist.audit.journal import Journal, dump
from gobroke_dist.audit.load import Load
from gobroke_dist.audit.logic import RECORD_URL, AuditLogic
from gobroke_dist.audit.record import Disturbed
from gobroke_dist.audit.verdict import Percentiles, Verdict, judge
from gobroke_dist.audit.violations import Kind
from gobroke_dist.backends.redis import overview
from gobroke_dist.broke import Broke
from gobroke_dist.cli.exits import Exit, explained, fail
from gobroke_dist.cli.options import Path_, Prefix, RedisURL
from gobroke_dist.cli.roles import check_redis
from gobroke_dist.cli.screen import screen
from gobroke_dist.settings import Settings, effective

_KILL_TIMEOUT = 60.0
_SHOWN = 20


def audit(
    app: Path_,
    *,
    redis_url: RedisURL = None,
    prefix: Prefix = None,
    logic: Annotated[str, typer.Option(help="Name of the application's AuditLogic.")] = "audit",
    keys: Annotated[int, typer.Option(min=1, help="Ordering keys.")] = 1000,
    messages: Annotated[int, typer.Option(min=1, help="Messages of each key.")] = 100,
    rate: Annotated[float, typer.Option(min=0, help="Messages in a second; 0: as fast as they are accepted.")] = 0.0,
    work: Annotated[float, typer.Option(min=0, help="Longest time that a handler works, in milliseconds.")] = 5.0,
    failing: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the messages whose first attempt raises.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
    kill_cmd: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Kills or pauses a worker, e.g. 'docker kill worker-1'.")
    ] = None,
    kill_every: Annotated[float, typer.Option(min=0.1, help="Seconds from one such command to the next.")] = 10.0,
    takeover_bound: Annotated[
        float | None, typer.Option(min=0, help="Seconds that a takeover may take; unset: it is only reported.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds without any progress after which a message is lost.")
    ] = 60.0,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the whole record here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Drive a running deployment with numbered messages, and check order, loss and effects of each key.

    The application must have an AuditLogic; `gobroke_dist.audit.app:broke` is one that has nothing else. Exits with 1
    if anything is wrong.
    """
    with explained():
        broke = load(app)
        settings = effective(broke.settings, redis_url=redis_url, prefix=prefix)
        check_redis(settings)
        _check_deployment(broke, settings, logic)
        load_ = Load(keys=keys, messages=messages, work=work, failing=failing, seed=seed)
        plan = Plan(load_, rate=rate, patience=patience)
        audit_ = asyncio.run(_run(settings, logic, plan, kill=(kill_cmd, kill_every), quiet=as_json))
    bound = None if takeover_bound is None else int(takeover_bound * 1000)
    verdict = judge(audit_.record, takeover_bound=bound)
    if save is not None:
        save.write_text("".join(dump(audit_.record)))
    if as_json:
        typer.echo(json.dumps(summary(verdict)))
    else:
        show(verdict)
    if not verdict.good:
        raise typer.Exit(Exit.FAILED)


def _check_deployment(broke: Broke, settings: Settings, logic: str) -> None:
    if not isinstance(broke.logics.get(logic), AuditLogic):
        raise fail(f"the application has no AuditLogic named {logic!r}: broke.add_logic(AuditLogic())", Exit.USAGE)
    if not any(member.role == "worker" for member in overview.read(settings, {}).members):
        raise fail("no worker of this application runs; start one with `gobroke worker`", Exit.FAILED)


async def _run(settings: Settings, logic: str, plan: Plan, *, kill: tuple[str | None, float], quiet: bool) -> Audit:
    stream = f"{settings.prefix}:audit:{uuid4().hex[:8]}"
    journal = Journal(os.environ.get(RECORD_URL) or str(settings.redis_url), stream)
    audit_ = Audit(settings, logic, plan, journal=journal, stream=stream)
    try:
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(_show_progress(audit_, plan.load.total))] if not quiet else []
            if kill[0] is not None:
                others.append(group.create_task(_kill(audit_, kill[0], every=kill[1])))
            await audit_.run()
            for one in others:
                one.cancel()
    finally:
        journal.delete()
        journal.close()
    return audit_


async def _kill(audit_: Audit, command: str, *, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        if audit_.complete:
            return
        audit_.note(Disturbed("kill", "", audit_.now()))
        process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=DEVNULL, stderr=DEVNULL)
        code = await asyncio.wait_for(process.wait(), _KILL_TIMEOUT)
        if code:
            typer.echo(f"gobroke: {command!r} ended with code {code}", err=True)


async def _show_progress(audit_: Audit, total: int) -> None:
    with _progress() as progress:
        accepted = progress.add_task("accepted", total=total)
        finished = progress.add_task("finished", total=total)
        while True:
            progress.update(accepted, completed=audit_.accepted)
            progress.update(finished, completed=audit_.finished)
            await asyncio.sleep(0.2)


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


# --- the result ------------------------------------------------------------------


def summary(verdict: Verdict) -> dict[str, object]:
    """The verdict as JSON-able values."""
    return {
        "good": verdict.good,
        "keys": verdict.keys,
        "sent": verdict.sent,
        **{kind.value: verdict.count(kind) for kind in Kind},
        **{name: getattr(verdict, name) for name in ("runs", "again", "raised", "recovered", "fenced", "refused")},
        "latency_ms": _plain(verdict.latency),
        "effect_latency_ms": _plain(verdict.effect_latency),
        "takeover_ms": _plain(verdict.takeover_times(calm=True)),
        "disturbed_takeover_ms": _plain(verdict.takeover_times(calm=False)),
        "workers": dict(verdict.workers),
        "disturbances": dict(verdict.disturbances),
        "by_key": verdict.by_key(),
        "violations": [dataclasses.asdict(one) for one in verdict.violations[:1000]],
    }


def show(verdict: Verdict) -> None:
    """The verdict for people."""
    console = screen()
    head = Table("Audit", box=None, pad_edge=False)
    head.add_column("", justify="right")
    for name, value in _rows(verdict):
        head.add_row(name, value)
    times = Table("Milliseconds", "Count", "p50", "p95", "p99", "max", box=None, pad_edge=False)
    for name, found in (
        ("sent to started", verdict.latency),
        ("sent to effect", verdict.effect_latency),
        ("takeover", verdict.takeover_times(calm=True)),
        ("takeover, disturbed again", verdict.takeover_times(calm=False)),
    ):
        if found is not None:
            times.add_row(name, *map(str, dataclasses.astuple(found)))
    console.print(head)
    console.print()
    console.print(times)
    for one in verdict.violations[:_SHOWN]:
        console.print(f"[red]{one.kind.value}[/] {one.key}: {one.text}")
    if len(verdict.violations) > _SHOWN:
        console.print(f"… and {len(verdict.violations) - _SHOWN} more; --json lists them")
    console.print("\n[green]Nothing is wrong.[/]" if verdict.good else "\n[red]Something is wrong.[/]")


def _rows(verdict: Verdict) -> Iterator[tuple[str, str]]:
    yield "keys", str(verdict.keys)
    yield "messages", str(verdict.sent)
    for kind in Kind:
        count = verdict.count(kind)
        yield kind.value, f"[red]{count}[/]" if count else "0"
    for name in ("runs", "again", "raised", "recovered", "fenced", "refused"):
        yield name, str(getattr(verdict, name))
    yield "worker processes", str(len(verdict.workers))


def _plain(found: Percentiles | None) -> dict[str, int] | None:
    return None if found is None else dataclasses.asdict(found)
