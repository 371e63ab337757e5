"""The chat on two edges, two workers and two schedulers, on this machine. ::

    python -m examples.demo             look at it: prints the addresses and stays until Ctrl+C
    python -m examples.demo --check     drive it, and kill a worker in the middle

The same check of a chat that runs already, behind a load balancer or not::

    python -m examples.demo --url ws://localhost:8080/ws --kill-cmd "docker kill gobroke_dist-worker-1"

The check, and why it is fair:

- 50 clients, 25 on each edge, are in 4 of 20 rooms each, so that every room has members on both edges. A room is
  an ordering key of the WORKER logic ``say``. Together they say 5,000 things, each client in its rooms by turns.
- They speak at a fixed rate and do not wait for answers, so a slow cluster can't slow down who measures it, and
  many messages of one sender for one key are under way at once. A latency counts from the moment at which a
  message was due to the moment at which one member of the room has it, for every member.
- At 40 % the workers are stopped, and everybody says ten things at once, so that ten messages wait for each key. Then
  a worker that has messages in its hands, the busiest if it can be, gets SIGKILL, and the others go on. What it had is
  taken over when its lease (2 s here) is over; the supervisor replaces it. Such messages arrive marked as recovered,
  or with ``attempt`` above 1. If there are none, the check fails; a kill by ``--kill-cmd`` can't be aimed like that,
  and may come between two messages.
- *Lost*: a message did not arrive at a member of its room. *Duplicated*: the same uuid arrived at one twice; it
  goes on listening for two seconds after everything has arrived. *Out of order*: in one room, one member got a
  lower number after a higher one, or a sender's earlier message after a later one: the sender counts its own.
  *Misnumbered*: two members saw one message under two numbers, or two under one, or the room's numbers have a gap:
  a handler that ran twice and counted twice would show here.
- Nothing is sent again: a message that was refused, or a connection that ended, is a failure as well.

Exits with 0 if all of these are 0, with 1 if not, and with 2 if it could not be tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Annotated

import aiohttp
import redis
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from examples.demo.cluster import Cluster, ClusterFailed, Member, running
from examples.demo.drive import drive
from examples.demo.killing import CommandKiller, ProcessKiller
from examples.demo.plan import Plan
from examples.demo.record import Record
from examples.demo.report import Report, members_table
from examples.demo.verdict import judge

CALM_MARGIN = 0.5  # seconds: what was due so shortly before the kill may have been caught by it

talk = Console(stderr=True, highlight=False)


def main(
    *,
    check: Annotated[bool, typer.Option("--check", help="Drive it, and judge.")] = False,
    url: Annotated[list[str] | None, typer.Option(help="Check this edge instead of starting any (repeat).")] = None,
    kill_cmd: Annotated[str | None, typer.Option(help="With --url: kills a worker, e.g. 'docker kill …'.")] = None,
    port: Annotated[
        int, typer.Option(envvar="GOBROKE_PORT", help="Of the first edge; 0: free ones. The check takes free ones.")
    ] = 8080,
    data_dir: Annotated[Path | None, typer.Option(help="Keep what is said there.")] = None,
    clients: Annotated[int, typer.Option(min=2, help="Scripted clients.")] = 50,
    rooms: Annotated[int, typer.Option(min=13, help="Rooms, that is ordering keys.")] = 20,
    messages: Annotated[int, typer.Option(min=1, help="Messages that they send together.")] = 5000,
    rate: Annotated[float, typer.Option(min=1, help="Messages that they send in a second, together.")] = 300.0,
    patience: Annotated[float, typer.Option(help="Seconds without a delivery until the rest is lost.")] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the processes print.")] = False,
) -> None:
    """Run the chat on this machine, or check that it keeps its promises."""
    plan = Plan(clients=clients, rooms=rooms, messages=messages, rate=rate)
    try:
        if url:
            report = asyncio.run(_check_at(url, plan, kill_cmd, patience))
        elif check:
            report = asyncio.run(_check_here(plan, data_dir, patience, verbose=verbose))
        else:
            asyncio.run(_stay(port, data_dir))
            return
    except (ClusterFailed, aiohttp.ClientError, TimeoutError, OSError) as error:
        talk.print("[red]The demo could not be run:[/]", Text(str(error) or type(error).__name__))
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(report.as_json())
    else:
        report.print(Console(highlight=False))
    raise typer.Exit(0 if report.good else 1)


async def _stay(port: int, data_dir: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ready = asyncio.Event()

    def show(line: str) -> None:
        if ready.is_set():  # the table says what is ready; what comes after it is news
            talk.out(line)

    async with running(port=port, data_dir=data_dir, show=show) as cluster:
        members = await _complete(cluster)
        ready.set()
        console = Console(highlight=False)
        console.print("", members_table(members, _others(cluster)), "", sep="\n")
        console.print("Open both addresses side by side. Ctrl+C ends everything.")
        ended = asyncio.create_task(cluster.process.wait())
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait((ended, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if ended.done():
            raise ClusterFailed("the cluster ended by itself")
        ended.cancel()
        talk.print("Ending…")


async def _check_here(plan: Plan, data_dir: Path | None, patience: float, *, verbose: bool) -> Report:
    show = talk.out if verbose else lambda _: None
    async with running(port=0, data_dir=data_dir, show=show) as cluster:
        members = await _complete(cluster)
        talk.print(members_table(members, _others(cluster)), "", sep="\n")
        urls = [address for member in members for address in member.addresses]
        return await _drive(plan, urls, ProcessKiller(cluster, members), patience)


async def _check_at(urls: list[str], plan: Plan, kill_cmd: str | None, patience: float) -> Report:
    return await _drive(plan, urls, CommandKiller(kill_cmd) if kill_cmd else None, patience)


async def _drive(plan: Plan, urls: list[str], kill: ProcessKiller | CommandKiller | None, patience: float) -> Report:
    started = time.monotonic()
    with _progress() as progress:
        sent = progress.add_task("sent", total=plan.messages)
        received = progress.add_task("received", total=None)

        def show(record: Record) -> None:
            progress.update(sent, completed=len(record.sent))
            total = record.expected if len(record.sent) == plan.messages else None
            progress.update(received, completed=len(record.received), total=total)

        record = await drive(plan, urls, kill=kill, show=show, patience=patience)
    verdict = judge(record.sent, record.received, record.members, disturbed_at=record.disturbed_at - CALM_MARGIN)
    return Report(verdict, record, kill.killing if kill else None, time.monotonic() - started)


def _progress() -> Progress:
    columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=talk, transient=True)


async def _complete(cluster: Cluster) -> list[Member]:
    with talk.status("Starting…"):
        return await cluster.until_complete()


def _others(cluster: Cluster) -> list[tuple[str, int, str]]:
    """The processes that are no members: the Redis, and who keeps everything running."""
    socket = cluster.data_dir / "redis.sock"
    with contextlib.closing(redis.Redis(unix_socket_path=str(socket), socket_timeout=5)) as client:
        server = client.info("server")
    return [("redis", int(server["process_id"]), f"unix://{socket}"), ("supervisor", cluster.process.pid, "")]


if __name__ == "__main__":
    typer.run(main)
