"""What the clients send again, and what they don't."""

from __future__ import annotations

import asyncio

import pytest

from gobroke_dist.errors import Unavailable
from gobroke_dist.ops import APIClient, AsyncAPIClient


async def send(url: str, *, blocking: bool, repeat: bool) -> None:
    """By one of the two clients."""
    if blocking:
        with APIClient(url, "t") as api:
            await asyncio.to_thread(api.send, 1, to_logic="a", repeat=repeat)
        return
    async with AsyncAPIClient(url, "t") as also:
        await also.send(1, to_logic="a", repeat=repeat)


@pytest.mark.parametrize(("repeat", "times"), [(False, 1), (True, 3)])
@pytest.mark.parametrize("blocking", [True, False])
async def test_o4_w12_a_message_whose_answer_is_lost_is_sent_again_if_that_is_safe(
    repeat: bool, times: int, blocking: bool
) -> None:
    """A server that hangs up after each request counts them."""
    heard: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        with pytest.raises(Unavailable):
            await send(url, blocking=blocking, repeat=repeat)
    finally:
        server.close()
        await server.wait_closed()
    assert len(heard) == times
