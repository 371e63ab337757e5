"""Connections to Redis, all made alike.

The client library's own retries are off: it would send a write again that may have been carried out
(measured: 18 of 300 sends doubled with a tenth of the replies cut). Who may retry, and how, is decided where
the command is known to be idempotent. RESP2 keeps replies the same on every server.
"""

from __future__ import annotations

import math
import socket
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from gobroke_dist import topology
from gobroke_dist.backends.redis import async_connections, connections
from gobroke_dist.backends.redis.primary import Primary
from gobroke_dist.settings import Settings
from gobroke_dist.topology import Topology

_ASKING = 0.25  # of the time for an answer: within one, several can be asked where the primary is


def connect(
    settings: Settings, *, blocking: bool = False, beside: redis.asyncio.Redis | None = None
) -> redis.asyncio.Redis:
    """A client for an event loop; it connects on first use.

    Args:
        settings: where to, and how long to wait for an answer.
        blocking: for pub/sub and blocking pops: no read timeout, which would end an idle wait.
        beside: a client of the same settings. When the primary moves, both know as soon as one of them finds out; one
            that only listens might not find out by itself.
    """
    where = topology.read(settings.redis_address)
    options = _options(settings, where, blocking=blocking)
    if where.seeds:
        options["connection_class"] = async_connections.class_for(where)
    if where.kind != "server":
        options["primary"] = _shared(beside) or _primary(settings, where)
    return redis.asyncio.Redis.from_url(where.url, retry=AsyncRetry(NoBackoff(), 0), **options)


def connect_sync(settings: Settings, *, blocking: bool = False, beside: redis.Redis | None = None) -> redis.Redis:
    """The same for a thread."""
    where = topology.read(settings.redis_address)
    options = _options(settings, where, blocking=blocking)
    if where.seeds:
        options["connection_class"] = connections.class_for(where)
    if where.kind != "server":
        options["primary"] = _shared(beside) or _primary(settings, where)
    return redis.Redis.from_url(where.url, retry=Retry(NoBackoff(), 0), **options)


def _options(settings: Settings, where: Topology, *, blocking: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": None if blocking else settings.redis_timeout,
        "socket_connect_timeout": settings.redis_timeout,
        "health_check_interval": 0,
        "protocol": 2,
    }
    if where.seeds:
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = _keepalive(settings.redis_timeout)
    return options | _encryption(settings, where)


def _keepalive(timeout: float) -> dict[int, int]:
    """So a connection that only waits notices within twice that time that the machine at its other end is gone."""
    wanted = {"TCP_KEEPIDLE": math.ceil(timeout), "TCP_KEEPINTVL": math.ceil(timeout / 2), "TCP_KEEPCNT": 2}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def _encryption(settings: Settings, where: Topology) -> dict[str, Any]:
    if not where.tls:
        return {}
    files = {
        "ssl_ca_certs": settings.redis_tls_ca,
        "ssl_certfile": settings.redis_tls_certificate,
        "ssl_keyfile": settings.redis_tls_key,
    }
    return {name: str(file) for name, file in files.items() if file is not None}


def _shared(beside: redis.Redis | redis.asyncio.Redis | None) -> Primary | None:
    shared: Primary | None = None if beside is None else beside.connection_pool.connection_kwargs.get("primary")
    return shared


def _primary(settings: Settings, where: Topology) -> Primary:
    said = parse_url(where.url)
    options = {
        **_options(settings, where, blocking=False),
        **{name: value for name, value in said.items() if name.startswith("ssl_")},
        "socket_timeout": settings.redis_timeout * _ASKING,
        "socket_connect_timeout": settings.redis_timeout * _ASKING,
        "username": said.get("username"),
        "password": said.get("password"),
    }
    if where.kind == "sentinel":
        options |= {"username": settings.sentinel_username, "password": settings.sentinel_password}
    return Primary(where, settings.prefix, options)
