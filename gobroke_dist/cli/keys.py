"""``gobroke keys``: which ordering keys wait, run or halt; hold them, and let them go on."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Table

from gobroke_dist.cli.exits import EXIT_CODES, Exit, fail
from gobroke_dist.cli.options import DataDir, Path_, Prefix, RedisURL
from gobroke_dist.cli.queues import AnyQueue, AsJson, Limit, OneQueue, at_queues, duration, more, say
from gobroke_dist.cli.screen import screen
from gobroke_dist.tasks.key_control import KeyControl

Key = Annotated[str | None, typer.Option("--key", help="The ordering key; '' for a logic that is ordered as a whole.")]
WholeLogic = Annotated[bool, typer.Option("--all", help="The whole logic instead of one key.")]

keys = typer.Typer(help="List, pause, resume or skip ordering keys.", no_args_is_help=True)


@keys.command("list", epilog=EXIT_CODES)
def list_(
    app: Path_,
    *,
    queue: AnyQueue = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """List the ordering keys that have messages or are held, those with the most messages first."""
    with at_queues(app, queue, redis_url=redis_url, data_dir=data_dir, prefix=prefix) as place:
        control = KeyControl(place.link)
        found = [state for name in place.queues for state in control.deepest(name, limit)]
        total = sum(control.count(name) for name in place.queues)
        stopped = {name: why for name in place.queues if (why := control.stopped(name)) is not None}
    found.sort(key=lambda state: -state.depth)
    if as_json:
        say({"total": total, "stopped": stopped, "keys": [dataclasses.asdict(state) for state in found]})
        return
    table = Table("Queue", "Key", "State", "Messages", "Age of the first", "First", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.queue, repr(one.key), one.state, str(one.depth), duration(one.age), one.head)
    notes = [f"Queue {name} is stopped: {why}. See `gobroke keys resume --all`." for name, why in stopped.items()]
    screen().print(table if found else "No ordering key has a message.", *more(len(found), total), *notes, sep="\n")


@keys.command(epilog=EXIT_CODES)
def pause(
    app: Path_,
    *,
    queue: OneQueue,
    key: Key = None,
    everything: WholeLogic = False,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Hold an ordering key, or a whole logic: it accepts messages, and nothing of it starts."""
    with at_queues(app, queue, redis_url=redis_url, data_dir=data_dir, prefix=prefix) as place:
        control, name = KeyControl(place.link), _name(key, everything)
        if name is None:
            control.pause_all(queue)
            typer.echo(f"{queue} is paused; what workers have fetched already is finished.")
            return
        answer = control.pause(queue, name)
    said = {
        "paused": "is paused.",
        "runs": "is paused, but for the message that a worker has already.",
        "already": "was paused already.",
    }
    typer.echo(f"Key {name!r} {said[answer]}")


@keys.command(epilog=EXIT_CODES)
def resume(
    app: Path_,
    *,
    queue: OneQueue,
    key: Key = None,
    everything: WholeLogic = False,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """End the pause of an ordering key, or of a whole logic, whoever began it.

    Exits with 1 if the key waits for what becomes of a dead letter: requeue that, discard it, or skip it.
    """
    with at_queues(app, queue, redis_url=redis_url, data_dir=data_dir, prefix=prefix) as place:
        control, name = KeyControl(place.link), _name(key, everything)
        if name is None:
            typer.echo(f"{queue} {'runs again' if control.resume_all(queue) else 'was not stopped'}.")
            _warn_of_halted(control, queue)
            return
        answer = control.resume(queue, name)
    if answer == "halted":
        raise fail(
            f"key {name!r} waits for what becomes of a dead letter: see `gobroke dead requeue`, `gobroke dead discard` "
            "and `gobroke keys skip`",
            Exit.FAILED,
        )
    typer.echo(f"Key {name!r} {'goes on' if answer == 'resumed' else 'was not paused'}.")


@keys.command(epilog=EXIT_CODES)
def skip(
    app: Path_,
    *,
    queue: OneQueue,
    key: Annotated[str, typer.Option("--key", help="The ordering key.")],
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Go on without an ordering key's first message: it becomes a dead letter, or stays the one the key waits for.

    Exits with 1 if a worker has the message.
    """
    with at_queues(app, queue, redis_url=redis_url, data_dir=data_dir, prefix=prefix) as place:
        answer = KeyControl(place.link).skip(queue, key)
    if answer == "runs":
        text = f"a worker has the first message of key {key!r}: pause the key, and skip when it has ended"
        raise fail(text, Exit.FAILED)
    said = {
        "skipped": "goes on without its first message, which is a dead letter now.",
        "released": "goes on; the dead letter that it waited for stays one.",
        "nothing": "has no message.",
    }
    typer.echo(f"Key {key!r} {said[answer]}")


def _name(key: str | None, everything: bool) -> str | None:
    if (key is not None) == everything:
        raise fail("say which: give --key or --all", Exit.USAGE)
    return key


def _warn_of_halted(control: KeyControl, queue: str) -> None:
    halted = control.halted(queue)
    if halted:
        typer.echo(f"{halted} of its keys still wait for what becomes of a dead letter: see `gobroke keys list`.")
