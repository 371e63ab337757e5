"""``gobroke run``: every role of an application on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from gobroke_dist import logs
from gobroke_dist.broke import Broke
from gobroke_dist.cli import supervised
from gobroke_dist.cli.exits import Exit, end_quietly_on_sigterm, explained, fail
from gobroke_dist.cli.options import (
    DataDir,
    Format,
    Host,
    Level,
    NodeId,
    Path_,
    Port,
    Prefix,
    RedisURL,
    Threads,
    application,
)
from gobroke_dist.cli.roles import check_redis
from gobroke_dist.cli.screen import screen
from gobroke_dist.embedded import EmbeddedRedis
from gobroke_dist.errors import CouldNotCreateServer
from gobroke_dist.settings import Settings
from gobroke_dist.supervisor import Child, Report

log = logging.getLogger(__name__)

_LAST_PORT = 65535


def run(
    app: Path_,
    *,
    edges: Annotated[int, typer.Option(min=0, help="Edge processes.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes.")] = 1,
    schedulers: Annotated[int, typer.Option(min=0, help="Scheduler processes.")] = 1,
    threads: Threads = None,
    host: Host = None,
    port: Port = None,
    redis_url: RedisURL = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
    node_id: NodeId = None,
    log_level: Level = None,
    log_format: Format = None,
) -> None:
    """Run everything on this machine: edges, workers, schedulers, and a Redis of its own if none is configured.

    The first edge listens on --port, the next one on the port after it, and so on.
    """
    with explained():
        end_quietly_on_sigterm()
        broke = application(
            app, threads=threads, host=host, redis_url=redis_url, data_dir=data_dir, prefix=prefix,
            node_id=node_id, log_level=log_level, log_format=log_format, port=port,
        )  # fmt: skip
        settings = broke.settings
        logs.configure(settings, role="run")
        if edges + workers + schedulers == 0:
            raise fail("there is nothing to run: give at least one of --edges, --workers, --schedulers", Exit.USAGE)
        first = _first_port(broke, settings, edges)
        with _redis(settings) as reached:
            group = [
                *supervised.children("edge", app, reached, count=edges, port=first),
                *supervised.children("worker", app, reached.model_copy(update={"processes": 1}), count=workers),
                *supervised.children("scheduler", app, reached, count=schedulers),
            ]
            asyncio.run(supervised.supervise(group, reached, ready=lambda reports: _show(group, reports, reached)))


def _first_port(broke: Broke, settings: Settings, edges: int) -> int | None:
    if edges > 1 and any(getattr(endpoint, "port", None) for endpoint in broke.endpoints[1:]):
        raise fail("several edges need port=0 for every endpoint after the first: they can't share a port", Exit.USAGE)
    port = settings.port
    if port is None and edges > 1:
        port = getattr(broke.endpoints[0], "port", None)
        if port is None:
            raise fail("several edges need a port for each: give the first one with --port, or --port 0", Exit.USAGE)
    if port and port + edges - 1 > _LAST_PORT:
        raise fail(f"--port {port} leaves no ports for {edges} edges: give a lower one", Exit.USAGE)
    return port


@contextlib.contextmanager
def _redis(settings: Settings) -> Iterator[Settings]:
    """The settings with a Redis that answers, for as long as the block runs."""
    if settings.redis_url is not None:
        check_redis(settings)
        yield settings
        return
    server = EmbeddedRedis(settings.data_dir)
    try:
        url = server.start()
    except CouldNotCreateServer as error:
        raise fail(str(error), Exit.REDIS) from None
    try:
        yield settings.model_copy(update={"redis_url": url})
    finally:
        server.stop()


def _show(group: list[Child], reports: dict[str, Report], settings: Settings) -> None:
    where = {child.name: ", ".join(reports[child.name].addresses) for child in group}
    redis = logs.masked(str(settings.redis_url))
    if settings.log_format == "json":
        log.info("ready: %s; Redis at %s", " ".join(f"{name} {at}".strip() for name, at in where.items()), redis)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Running")
    table.add_column("Where", overflow="fold")
    for name, at in where.items():
        table.add_row(name, at)
    table.add_row("redis", redis)
    screen().print(table, "Ctrl+C ends everything.", sep="\n")
