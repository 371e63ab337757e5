"""The client for browsers: with played sockets in node, and in Chromium at a real edge (contract C7, C11, E5, W12)."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

import gobroke_dist.connection
from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, Message, Settings
from gobroke_dist.roles import edge, worker
from gobroke_dist.testing.faults import Proxy
from tests.connection.logics import Asker, Ledger, Twice
from tests.examples.chromium import Page, browser, find_chromium

CLIENT = Path(gobroke_dist.connection.__file__).with_name("gobroke.js")

EMPTY = "<!doctype html><link rel=icon href=data:,><body>"
START = """import("/gobroke.js").then(({ Connection }) => {
  window.told = []; window.got = [];
  window.c = new Connection("/ws", { client: "ann", firstWait: FIRST_WAIT, longestWait: FIRST_WAIT });
  c.addEventListener("opened", (event) => told.push(event.detail.recovered));
  c.addEventListener("message", ({ detail }) => {
    if (detail.reply_to) c.answer(detail, "Ann");
    else got.push(detail.data);
  });
  c.addEventListener("lost", (event) => { window.lost = event.detail; });
  c.addEventListener("ended", (event) => { window.ended = event.detail.code; });
})"""

COME_BACK = (
    """window.gaps = []; c.addEventListener("gap", ({ detail }) => { gaps.push(detail); c.comeBack(detail); })"""
)
BUSY = """(() => {
  const request = new XMLHttpRequest();
  request.open("GET", "http://127.0.0.1:%d/", false);
  try { request.send(); } catch {} // of another origin
})()"""


@asynccontextmanager
async def opened(url: str, *, first_wait: int = 100) -> AsyncIterator[Page]:
    """An empty page of an edge, with a client that is connected."""
    async with browser(url.replace("ws://", "http://").removesuffix("ws")) as page:
        await page.until("document.readyState === 'complete' && location.protocol === 'http:'")
        await page.run(START.replace("FIRST_WAIT", str(first_wait)))
        await page.until("c.state === 'open'")
        yield page


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on the PATH")
def test_c7_c11_e5_w12_with_played_sockets(tmp_path: Path) -> None:
    module = tmp_path / "gobroke.mjs"
    module.write_bytes(CLIENT.read_bytes())
    script = Path(__file__).with_name("gobroke_js.mjs")
    ran = subprocess.run(
        ["node", str(script), module.as_uri()], capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(find_chromium() is None, reason="no chromium on the PATH")
async def test_c7_c11_e5_a_page_asks_delivers_comes_back_and_stays_away_when_removed(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(EMPTY)
    settings = Settings(redis_url=redis_url, prefix=prefix, threads=2)
    brokes = [Broke(WebSocketEndpoint(port=0, pages=tmp_path), settings=settings) for _ in range(2)]
    for broke in brokes:
        for logic in (Twice(), Asker(), Ledger()):
            broke.add_logic(logic)
    async with edge(brokes[0]) as node, worker(brokes[1]), Proxy(node.addresses[0]) as proxy:
        brokes[0]._operations = node.runtime.operations
        async with opened(proxy.url) as page:
            assert await page.run("c.request(21, 'twice')") == 42
            assert await page.run("c.request(null, 'asker')") == "you are Ann"
            assert await page.run("c.deliver(1, 'ledger').then((receipt) => receipt.state)") == "done"
            proxy.reset()
            await brokes[0].send_message(Message(to_client="ann", message_raw=b'"missed"'))
            await page.until("told.length === 2 && got.length === 1")
            assert await page.run("[told, got]") == [[None, True], ["missed"]]
            assert await page.run("c.request(4, 'twice')") == 8
            await brokes[0].remove_client("ann")
            await page.until("window.ended === 4500")
            assert await page.run("c.state") == "closed"


@pytest.mark.skipif(find_chromium() is None, reason="no chromium on the PATH")
async def test_e7_c7_a_page_leaves_a_node_that_drains_and_is_at_another_when_it_was_told(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """With a first wait of its own of an hour; behind one address, as a load balancer has it."""
    (tmp_path / "index.html").write_text(EMPTY)
    settings = Settings(redis_url=redis_url, prefix=prefix, drain_timeout=2, retry_spread=1)
    brokes = [Broke(WebSocketEndpoint(port=0, pages=tmp_path), settings=settings) for _ in range(2)]
    async with edge(brokes[1]) as other, AsyncExitStack() as first:
        brokes[1]._operations = other.runtime.operations
        node = await first.enter_async_context(edge(brokes[0]))
        async with Proxy(node.addresses[0]) as proxy, opened(proxy.url, first_wait=3_600_000) as page:
            proxy._target = other.addresses[0]
            await first.aclose()
            await brokes[1].send_message(Message(to_client="ann", message_raw=b'"missed"'))
            await page.until("told.length === 2 && got.length === 1")
            assert await page.run("[told, got, lost.code]") == [[None, True], ["missed"], 1001]
            assert 0 <= await page.run("lost.retryIn") <= 1000


@pytest.mark.skipif(find_chromium() is None, reason="no chromium on the PATH")
async def test_c7_e4_a_page_that_was_busy_gets_what_was_dropped_by_coming_back(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """A synchronous request, which is answered when enough was dropped, holds the page up."""
    (tmp_path / "index.html").write_text(EMPTY)
    settings = Settings(redis_url=redis_url, prefix=prefix, channel_size=10, slow_consumers="drop_oldest")
    broke = Broke(WebSocketEndpoint(port=0, pages=tmp_path), settings=settings)
    asked, enough = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await enough.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with edge(broke) as node, await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        broke._operations = node.runtime.operations
        async with opened(node.addresses[0]) as page:
            await page.run(COME_BACK)
            port = server.sockets[0].getsockname()[1]
            busy = asyncio.create_task(page.run(BUSY % port))
            await asyncio.wait_for(asked.wait(), 10)
            sent = 0
            while node.runtime.metrics.drops["dropped_oldest"] < 5:
                await broke.send_message(Message(to_client="ann", message_raw=json.dumps([sent, "x" * 50_000])))
                sent += 1
            enough.set()
            await busy
            await page.until(f"got.length >= {sent}", within=30)
            assert await page.run("got.map(([number]) => number)") == list(range(sent))
            assert await page.run("[gaps.length, gaps[0].dropped >= 5, told]") == [1, True, [None, True]]
