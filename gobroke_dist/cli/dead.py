"""``gobroke dead``: what was given up, and what becomes of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.table import Table

from gobroke_dist.cli.exits import EXIT_CODES, Exit, fail
from gobroke_dist.cli.options import DataDir, Path_, Prefix, RedisURL
from gobroke_dist.cli.queues import AnyQueue, AsJson, Limit, Place, ago, at_queues, more, say
from gobroke_dist.cli.screen import screen
from gobroke_dist.tasks.dead_letters import DeadLetters

Ids = Annotated[list[str] | None, typer.Option("--id", help="This dead letter; give it again for more.")]
All = Annotated[bool, typer.Option("--all", help="All that are there now, the oldest first.")]

dead = typer.Typer(help="List, show, requeue or discard dead letters.", no_args_is_help=True)


@dead.command("list", epilog=EXIT_CODES)
def list_(
    app: Path_,
    *,
    queue: AnyQueue = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """List dead letters, the latest first, without their payloads."""
    with at_queues(app, queue, redis_url=redis_url, data_dir=data_dir, prefix=prefix) as place:
        letters = DeadLetters(place.link)
        found = [letter for name in place.queues for letter in letters.latest(name, limit)]
        total = sum(letters.count(name) for name in place.queues)
    if as_json:
        say({"total": total, "dead": [dataclasses.asdict(letter) for letter in found]})
        return
    table = Table("Queue", "Id", "Key", "Reason", "Error", "Attempts", "Died", "Key waits", box=None, pad_edge=False)
    for one in found:
        waits = "yes" if one.halts else ""
        key = "" if one.key is None else repr(one.key)
        table.add_row(one.queue, one.id, key, one.reason, one.error, str(one.attempts), f"{ago(one.died)} ago", waits)
    screen().print(table if found else "There are no dead letters.", *more(len(found), total), sep="\n")


@dead.command(epilog=EXIT_CODES)
def show(
    app: Path_,
    *,
    id_: Annotated[str, typer.Option("--id", help="This dead letter.")],
    queue: AnyQueue = None,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Show one dead letter with its error and its payload, as JSON."""
    with at_queues(app, queue, redis_url=redis_url, data_dir=data_dir, prefix=prefix) as place:
        letters = DeadLetters(place.link)
        found = next((one for name in place.queues if (one := letters.find(name, id_))), None)
    if found is None:
        raise _missing(id_)
    letter, message = found
    typer.echo(json.dumps(dataclasses.asdict(letter) | {"message": message}, indent=2, default=str))


@dead.command(epilog=EXIT_CODES)
def requeue(
    app: Path_,
    *,
    ids: Ids = None,
    everything: All = False,
    queue: AnyQueue = None,
    as_json: AsJson = False,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Run dead letters again: at the original place if the key waits for it, else behind all others of the key.

    Exits with 1 if one was not there, or can't run.
    """

    def handle(letters: DeadLetters, name: str, id_: str) -> bool:
        return letters.requeue(name, id_) in ("first", "last")

    with at_queues(app, queue, redis_url=redis_url, data_dir=data_dir, prefix=prefix) as place:
        _tell("requeued", _handled(place, ids or [], everything, handle), as_json=as_json)


@dead.command(epilog=EXIT_CODES)
def discard(
    app: Path_,
    *,
    ids: Ids = None,
    everything: All = False,
    queue: AnyQueue = None,
    as_json: AsJson = False,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Delete dead letters for good; a key that waits for one goes on with its next message.

    Exits with 1 if one was not there.
    """
    with at_queues(app, queue, redis_url=redis_url, data_dir=data_dir, prefix=prefix) as place:
        _tell("discarded", _handled(place, ids or [], everything, DeadLetters.discard), as_json=as_json)


def _handled(
    place: Place, ids: list[str], everything: bool, handle: Callable[[DeadLetters, str, str], bool]
) -> tuple[int, list[str]]:
    """How many were handled, and which of the ids were not."""
    if bool(ids) == everything:
        raise fail("say which: give --id, once or more, or --all", Exit.USAGE)
    letters = DeadLetters(place.link)
    if everything:
        return sum(letters.handle_all(name, _of(letters, name, handle)) for name in place.queues), []
    left = [id_ for id_ in ids if not any(handle(letters, name, id_) for name in place.queues)]
    return len(ids) - len(left), left


def _of(letters: DeadLetters, queue: str, handle: Callable[[DeadLetters, str, str], bool]) -> Callable[[str], bool]:
    return lambda id_: handle(letters, queue, id_)


def _tell(done: str, handled: tuple[int, list[str]], *, as_json: bool) -> None:
    count, left = handled
    if as_json:
        say({done: count, "failed": left})
    else:
        typer.echo(f"{count} {done}.")
    if left:
        raise fail(f"not {done}, because it is not there or can't run: {', '.join(left)}", Exit.FAILED)


def _missing(id_: str) -> typer.Exit:
    return fail(f"there is no dead letter {id_!r}; see `gobroke dead list`", Exit.FAILED)
