"""channels_redis: both of its layers, each with WebSockets of aiohttp, since it has no server of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from aiohttp import web
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from tests.bench.cluster.servers.serving import REDIS_OPTIONS, serve
from tests.bench.contestants.roles import run

_GROUP = "everyone"
_CAPACITY = 100_000  # the default of 100 drops messages under this load


class Site:
    """A WebSocket is a channel, and all are in one group, as in a consumer of Django Channels.

    Args:
        layer: between the processes.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """One client, from its beginning to its end."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        channel = await self._layer.new_channel()
        await self._layer.group_add(_GROUP, channel)
        writing = asyncio.create_task(self._write(channel, socket))
        await socket.send_str(channel)
        try:
            async for frame in socket:
                await self._pass_on(*json.loads(frame.data))
        finally:
            writing.cancel()
        return socket

    async def _pass_on(self, to: str | None, text: str) -> None:
        message = {"type": "message", "text": text}
        if to is None:
            await self._layer.group_send(_GROUP, message)
        else:
            await self._layer.send(to, message)

    async def _write(self, channel: str, socket: web.WebSocketResponse) -> None:
        while True:
            message = await self._layer.receive(channel)
            await socket.send_str(message["text"])


def layer(url: str) -> Any:
    """The one that the environment says."""
    hosts = [{"address": url, **REDIS_OPTIONS}]
    if os.environ.get("BENCH_CHANNELS") == "list":
        return RedisChannelLayer(hosts=hosts, capacity=_CAPACITY)
    return RedisPubSubChannelLayer(hosts=hosts)


async def main(url: str) -> None:
    """Serve."""
    app = web.Application()
    app.router.add_get("/ws", Site(layer(url)).connect)
    await serve(app)


if __name__ == "__main__":
    run(main(sys.argv[1]))
