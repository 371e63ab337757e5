"""How the peers' applications are served. It is imported in their environments."""

from __future__ import annotations

import asyncio
import gc

from aiohttp import web

from tests.bench.cluster.answering import say

REDIS_OPTIONS = {"socket_timeout": None, "max_connections": 10_000}
"""For redis-py; newer versions end a subscription that is silent for 5 s, and refuse a 101st publish at once."""


async def serve(app: web.Application) -> None:
    """Listen on a free port, say which, and go on for ever."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    gc.collect()
    gc.freeze()  # as the product does for itself
    gc.set_threshold(10_000, 3, 5)
    say(port=runner.addresses[0][1])
    await asyncio.Event().wait()
