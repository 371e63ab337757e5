"""``gobroke status``: the cluster at one glance."""

from __future__ import annotations

import dataclasses
import json
import socket
from typing import Annotated

import typer
from rich.table import Table

from gobroke_dist.backends.redis import overview
from gobroke_dist.backends.redis.overview import Depth, Overview
from gobroke_dist.broke import Broke
from gobroke_dist.cli.exits import Exit, explained, fail
from gobroke_dist.cli.options import DataDir, Path_, Prefix, RedisURL, application
from gobroke_dist.cli.screen import screen
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.logic import LogicType, queues_of


def status(
    app: Path_,
    *,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
    here: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE", help="Exit with 1 unless a process of this role runs on this host: a health check."
        ),
    ] = None,
) -> None:
    """Show who is running, how many clients are connected, and what is waiting. Changes nothing.

    Exits with 1 if Redis can't be reached.
    """
    with explained():
        broke = application(app, redis_url=redis_url, data_dir=data_dir, prefix=prefix)
        settings = broke.settings
        try:
            found = overview.read(settings, _limits(broke))
        except (RedisUnavailable, ValueError) as error:
            raise fail(
                f"no Redis answers at {settings.redis_address} ({error.__cause__ or error})", Exit.FAILED
            ) from None
    if here is not None and not _runs_here(found, here):
        raise fail(f"no {here} runs on {socket.gethostname()}", Exit.FAILED)
    if as_json:
        typer.echo(json.dumps(_plain(found)))
    else:
        _print(found)


def _limits(broke: Broke) -> dict[str, int | None]:
    """How many messages each queue may hold."""
    logics = {name: broke.logics[name] for name in queues_of(broke.logics)}
    return {name: one.max_waiting if one.logic_type is LogicType.WORKER else None for name, one in logics.items()}


def _runs_here(found: Overview, role: str) -> bool:
    return any(one.role == role and one.host == socket.gethostname() for one in found.members)


def _plain(found: Overview) -> dict[str, object]:
    members = [dataclasses.asdict(one) | {"age": _age(found, one.started)} for one in found.members]
    return {"members": members, "clients": found.clients, "queues": [dataclasses.asdict(one) for one in found.queues]}


def _age(found: Overview, started: float) -> float:
    """Seconds; the two clocks may differ a little."""
    return round(max(found.now - started, 0.0), 1)


def _state(depth: Depth) -> str:
    said = (("full", depth.full), ("stopped", depth.stopped))
    return ", ".join(word for word, true in said if true)


def _print(found: Overview) -> None:
    members = Table("Role", "Node", "Host", "Pid", "Age", "Addresses", box=None, pad_edge=False)
    for one in found.members:
        age = f"{_age(found, one.started):.0f} s"
        members.add_row(one.role, one.node, one.host, str(one.pid), age, ", ".join(one.addresses))
    queues = Table("Queue", box=None, pad_edge=False)
    for title in ("Ready", "Waiting", "Delayed", "Dead", "Halted keys", "Paused keys"):
        queues.add_column(title, justify="right")
    queues.add_column("State")
    for depth in found.queues:
        numbers = (depth.ready, depth.waiting, depth.delayed, depth.dead, depth.halted_keys, depth.paused_keys)
        queues.add_row(depth.queue, *map(str, numbers), _state(depth))
    console = screen()
    console.print(members if found.members else "No process is running.", f"Clients: {found.clients}", sep="\n\n")
    console.print()
    console.print(queues if found.queues else "No logic has a queue.")
