"""python-socketio: an ``AsyncServer`` on aiohttp, and its Redis manager between the processes."""

from __future__ import annotations

import sys

import socketio
from aiohttp import web

from tests.bench.cluster.servers.serving import REDIS_OPTIONS, serve
from tests.bench.contestants.roles import run


def application(url: str) -> web.Application:
    """Clients send events ``one`` and ``all``, and get ``message``."""
    manager = socketio.AsyncRedisManager(url, redis_options=REDIS_OPTIONS)
    server = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)

    @server.on("one")
    async def one(_sid: str, to: str, text: str) -> None:
        await server.emit("message", text, to=to)

    @server.on("all")
    async def everyone(_sid: str, text: str) -> None:
        await server.emit("message", text)

    app = web.Application()
    server.attach(app)
    return app


if __name__ == "__main__":
    run(serve(application(sys.argv[1])))
