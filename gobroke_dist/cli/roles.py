"""``gobroke edge``, ``gobroke worker`` and ``gobroke scheduler``: one role each."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any

from gobroke_dist import logs
from gobroke_dist.backends.redis import overview
from gobroke_dist.broke import Broke
from gobroke_dist.cli import supervised
from gobroke_dist.cli.exits import Exit, end_quietly_on_sigterm, explained, fail
from gobroke_dist.cli.options import (
    Format,
    Host,
    Level,
    NodeId,
    Path_,
    Port,
    Prefix,
    Processes,
    Queues,
    ReadyFd,
    RedisURL,
    Threads,
    application,
)
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.roles import run_edge
from gobroke_dist.scheduler import run_scheduler
from gobroke_dist.settings import Settings
from gobroke_dist.supervisor import Report
from gobroke_dist.worker import run_worker

log = logging.getLogger(__name__)


def edge(
    app: Path_,
    *,
    redis_url: RedisURL = None,
    host: Host = None,
    port: Port = None,
    prefix: Prefix = None,
    node_id: NodeId = None,
    log_level: Level = None,
    log_format: Format = None,
    ready_fd: ReadyFd = None,
) -> None:
    """Run one edge: clients connect to it."""
    with explained():
        broke = _prepared(
            "edge", app, redis_url=redis_url, host=host, port=port, prefix=prefix, node_id=node_id,
            log_level=log_level, log_format=log_format,
        )  # fmt: skip
        _run(run_edge(broke, ready=_reporter("edge", ready_fd)))


def worker(
    app: Path_,
    *,
    redis_url: RedisURL = None,
    processes: Processes = None,
    threads: Threads = None,
    queues: Queues = None,
    prefix: Prefix = None,
    node_id: NodeId = None,
    log_level: Level = None,
    log_format: Format = None,
    ready_fd: ReadyFd = None,
) -> None:
    """Run workers: they process what WORKER and PASSIVE logics have to do."""
    with explained():
        broke = _prepared(
            "worker", app, redis_url=redis_url, processes=processes, threads=threads, prefix=prefix, node_id=node_id,
            log_level=log_level, log_format=log_format,
        )  # fmt: skip
        _check_queues(broke, queues or [])
        settings = broke.settings
        ready = _reporter("worker", ready_fd)
        if settings.processes == 1:
            chosen = set(queues) if queues else None
            run_worker(broke.worker_role, settings, queues=chosen, ready=lambda: ready(()))
            return
        one = settings.model_copy(update={"processes": 1})
        arguments = [word for queue in queues or [] for word in ("--queues", queue)]
        children = supervised.children("worker", app, one, count=settings.processes, arguments=arguments)
        asyncio.run(supervised.supervise(children, settings, ready=lambda _: ready(())))


def scheduler(
    app: Path_,
    *,
    redis_url: RedisURL = None,
    prefix: Prefix = None,
    node_id: NodeId = None,
    log_level: Level = None,
    log_format: Format = None,
    ready_fd: ReadyFd = None,
) -> None:
    """Run one scheduler: it fires PASSIVE logic. Run two, and one may die."""
    with explained():
        broke = _prepared(
            "scheduler", app, redis_url=redis_url, prefix=prefix, node_id=node_id,
            log_level=log_level, log_format=log_format,
        )  # fmt: skip
        ready = _reporter("scheduler", ready_fd)
        _run(run_scheduler(broke, broke.settings, ready=lambda: ready(())))


def _prepared(role: str, path: str, **flags: Any) -> Broke:
    """The application with its effective settings, when logs are set up and Redis has answered."""
    end_quietly_on_sigterm()
    broke = application(path, **flags)
    logs.configure(broke.settings, role=role)
    check_redis(broke.settings)
    return broke


def check_redis(settings: Settings) -> None:
    """Exit if Redis is not configured, or does not answer."""
    if settings.redis_url is None:
        raise fail("no Redis is configured: set --redis-url or GOBROKE_REDIS_URL, or use `gobroke run`", Exit.REDIS)
    try:
        overview.ping(settings)
    except (RedisUnavailable, ValueError) as error:
        raise fail(
            f"no Redis answers at {settings.redis_url} ({error.__cause__ or error}): start it there, "
            "or correct --redis-url or GOBROKE_REDIS_URL",
            Exit.REDIS,
        ) from None


def _check_queues(broke: Broke, queues: list[str]) -> None:
    unknown = [queue for queue in queues if queue not in broke.logics]
    if unknown:
        raise fail(f"no logic is named {unknown[0]!r}; there are {', '.join(sorted(broke.logics))}", Exit.USAGE)


def _reporter(role: str, descriptor: int | None) -> Callable[[tuple[str, ...]], None]:
    """What to call when the role does its work: it says so in the log, and to the supervisor if there is one."""

    def report(addresses: tuple[str, ...]) -> None:
        log.info("%s is ready%s", role, f" at {', '.join(addresses)}" if addresses else "")
        if descriptor is not None:
            os.write(descriptor, Report(tuple(addresses)).line())
            os.close(descriptor)

    return report


def _run(role: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(role)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(role)
