"""``gobroke audit``: is every message handled in order, once, and with its effects once?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from gobroke_dist.audit.disturbing import CommandInvalid, Disturber
from gobroke_dist.audit.driver import Audit, Plan
from gobroke_dist.audit.journal import Journal, dump
from gobroke_dist.audit.load import Load
from gobroke_dist.audit.logic import RECORD_URL, AuditedLogic
from gobroke_dist.audit.record import LineInvalid
from gobroke_dist.audit.verdict import judge
from gobroke_dist.backends.redis import overview
from gobroke_dist.broke import Broke
from gobroke_dist.cli.audit_progress import progress
from gobroke_dist.cli.audit_result import Result, show, summary
from gobroke_dist.cli.exits import Exit, explained, fail
from gobroke_dist.cli.options import DataDir, Path_, Prefix, RedisURL, application
from gobroke_dist.errors import RedisUnavailable, Unavailable
from gobroke_dist.settings import Settings

_Logics = Annotated[
    list[str] | None,
    typer.Option("--logic", help="Only this audited logic; give it again for more; unset: all that there are."),
]
_Keys = Annotated[int, typer.Option(min=1, help="Ordering keys.")]
_Messages = Annotated[int, typer.Option(min=1, help="Messages of each key.")]
_Rate = Annotated[float, typer.Option(min=0, help="Messages in a second; 0: as fast as they are accepted.")]
_Work = Annotated[float, typer.Option(min=0, help="Longest time that a handler works, in milliseconds.")]
_Failing = Annotated[float, typer.Option(min=0, max=1, help="Share of the messages whose first attempt raises.")]
_Seed = Annotated[int, typer.Option(help="Of all random choices.")]
_Commands = Annotated[
    list[str] | None,
    typer.Option(
        "--kill-cmd",
        metavar="COMMAND",
        help="Kills or pauses a worker, e.g. 'docker kill worker-1'; if there are several, they take turns.",
    ),
]
_Every = Annotated[float, typer.Option(min=0.1, help="Seconds from the end of such a command to the next.")]
_Bound = Annotated[
    float | None, typer.Option(min=0, help="Seconds that a takeover may take; unset: it is only reported.")
]
_Patience = Annotated[float, typer.Option(min=1, help="Seconds without any progress after which a message is lost.")]
_Save = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the whole record here.")]
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]


def audit(
    app: Path_,
    *,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
    logics: _Logics = None,
    keys: _Keys = 1000,
    messages: _Messages = 100,
    rate: _Rate = 0.0,
    work: _Work = 5.0,
    failing: _Failing = 0.05,
    seed: _Seed = 0,
    commands: _Commands = None,
    kill_every: _Every = 10.0,
    takeover_bound: _Bound = None,
    patience: _Patience = 60.0,
    save: _Save = None,
    as_json: _AsJson = False,
) -> None:
    """Drive a running deployment with numbered messages, and check order, loss and effects of each key.

    The application needs an audited logic: broke.add_logic(AuditLogic()), or AsyncAuditLogic() for async def, both
    from gobroke_dist.audit. Start its workers as always, then this, with the same Redis and prefix. To try it,
    gobroke_dist.audit.app:broke is an application that has nothing else. What the result means, and what else to
    try, is in docs/how-to/audit.md.

    Exits with 0 if nothing is wrong, with 1 if anything is, and with another code if that could not be found out.
    """
    with explained(), _tried():
        if takeover_bound is not None and not commands:
            raise fail("--takeover-bound needs a --kill-cmd: it counts from that", Exit.USAGE)
        broke = application(app, redis_url=redis_url, data_dir=data_dir, prefix=prefix)
        driven = _audited(broke, logics or [])
        plan = Plan(Load(keys, messages, work, failing, seed), rate=rate, patience=patience)
        drive = _Drive(broke.settings, driven, plan, commands=commands or [], every=kill_every)
        with _saved(drive.audit, save):
            _check_workers(broke.settings)
            asyncio.run(drive.run(quiet=as_json))
    result = drive.result(None if takeover_bound is None else int(takeover_bound * 1000))
    if as_json:
        typer.echo(json.dumps(summary(result)))
    else:
        show(result)
    _leave(result)


class _Drive:
    """One audit with all that belongs to it."""

    def __init__(
        self, settings: Settings, logics: Sequence[str], plan: Plan, *, commands: Sequence[str], every: float
    ) -> None:
        stream = f"{settings.prefix}:audit:{uuid4().hex[:8]}"
        self._logics = logics
        self._commands = len(commands)
        self._total = plan.load.total
        self._journal = _journal(os.environ.get(RECORD_URL) or settings.redis_address, stream)
        self.audit = Audit(settings, logics, plan, journal=self._journal, stream=stream)
        self.disturber = Disturber(commands, every=every, note=self.audit.note, now=self.audit.now)

    async def run(self, *, quiet: bool) -> None:
        over = asyncio.Event()
        try:
            async with progress(self.audit, self._total, quiet=quiet):
                disturbing = asyncio.create_task(self.disturber.run(over), name="audit-disturber")
                try:
                    await self.audit.run()
                finally:
                    over.set()
                    await disturbing
        finally:
            self._journal.discard()

    def result(self, bound: int | None) -> Result:
        verdict, why_not = judge(self.audit.record, takeover_bound=bound), self.disturber.failures
        return Result(verdict, self._logics, self.audit.refusals, why_not, commands=self._commands, bound=bound)


def _journal(url: str, stream: str) -> Journal:
    try:
        return Journal(url, stream)
    except ValueError as error:
        raise fail(f"{RECORD_URL} can't be used: {error}", Exit.USAGE) from None


def _audited(broke: Broke, names: Sequence[str]) -> Sequence[str]:
    """The logics to drive."""
    known = [name for name, logic in broke.logics.items() if isinstance(logic, AuditedLogic)]
    unknown = [name for name in names if name not in known]
    if unknown or not known:
        what = f"no audited logic is named {unknown[0]!r}" if unknown else "the application has no audited logic"
        hint = f"there are {', '.join(known)}" if known else "add one: broke.add_logic(gobroke_dist.audit.AuditLogic())"
        raise fail(f"{what}; {hint}", Exit.USAGE)
    return names or known


def _check_workers(settings: Settings) -> None:
    try:
        members = overview.read(settings, {}).members
    except (RedisUnavailable, ValueError) as error:
        raise fail(
            f"no Redis answers at {settings.redis_address} ({error.__cause__ or error}): "
            "say where the deployment's is with --redis-url, GOBROKE_REDIS_URL or --data-dir",
            Exit.REDIS,
        ) from None
    if not any(member.role == "worker" for member in members):
        raise fail(
            f"no worker runs with the prefix {settings.prefix!r} at {settings.redis_address}; "
            "start one with `gobroke worker`",
            Exit.UNTRIED,
        )


@contextlib.contextmanager
def _saved(audit: Audit, file: Path | None) -> Iterator[None]:
    """Write the record when it is over, however it ends."""
    if file is None:
        yield
        return
    try:
        file.touch()
    except OSError as error:
        raise fail(f"--save {file}: {error.strerror}", Exit.USAGE) from None
    try:
        yield
    finally:
        file.write_text("".join(dump(audit.record)))


@contextlib.contextmanager
def _tried() -> Iterator[None]:
    """What keeps an audit from its end says nothing about the deployment's order."""
    try:
        yield
    except CommandInvalid as error:
        raise fail(f"--kill-cmd: {error}", Exit.USAGE) from None
    except LineInvalid as error:
        raise fail(f"{error}; do the workers run this version of gobroke_dist?", Exit.UNTRIED) from None
    except RedisUnavailable:
        raise
    except Unavailable as error:
        raise fail(f"a message was not accepted: {error}", Exit.UNTRIED) from None


def _leave(result: Result) -> None:
    verdict = result.verdict
    if not verdict.runs:
        raise fail(
            f"{verdict.sent} messages were accepted, and no handler wrote anything down: is there a worker for the "
            f"queues of {', '.join(result.logics)}, with the same {RECORD_URL}, if that is set?",
            Exit.UNTRIED,
        )
    if not verdict.good:
        raise typer.Exit(Exit.FAILED)
    if result.unshown:
        raise fail(result.unshown, Exit.UNTRIED)
