"""The inactivity monitor."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from gobroke_dist import CloseCode
from tests.examples.conftest import gobroke_run
from tests.examples.websocket_client import WebSocketClient, connected


async def chatter(client: WebSocketClient) -> None:
    """Say something twice a second."""
    while True:
        await client.send("echo", "still here")
        await asyncio.sleep(0.5)


async def test_idle_clients_are_sent_away_on_every_node(redis_url: str, tmp_path: Path) -> None:
    """Who says nothing for the limit (here 3 s) is disconnected, on either edge; who speaks is not."""
    app = "examples.inactivity_monitor:broke"
    with gobroke_run(tmp_path, app, redis_url, edges=2, INACTIVITY_MINUTES="0.05") as urls:
        async with connected(urls[0]) as ann, connected(urls[0]) as idle, connected(urls[1]) as idle_too:
            speaking = asyncio.create_task(chatter(ann))
            for one in (idle, idle_too):
                await one.until(lambda one=one: one.socket.closed, within=15)
                assert one.socket.close_code == CloseCode.REMOVED
            assert not ann.socket.closed
            speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await speaking
