"""The client for browsers: with played sockets in node, and in Chromium at a real edge (contract C7, C11, E5, W12)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import gobroke_dist.connection
from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, LogicBase, LogicType, Message, Settings
from gobroke_dist.roles import edge, worker
from gobroke_dist.testing.faults import Proxy
from tests.examples.chromium import browser, find_chromium

CLIENT = Path(gobroke_dist.connection.__file__).with_name("gobroke.js")

START = """import("/gobroke.js").then(({ Connection }) => {
  window.told = []; window.got = [];
  window.c = new Connection("/ws", { client: "ann", firstWait: 100 });
  c.addEventListener("opened", (event) => told.push(event.detail.recovered));
  c.addEventListener("message", (event) => got.push(event.detail.data));
  c.addEventListener("ended", (event) => { window.ended = event.detail.code; });
})"""


class Twice(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.reply(message, message.json() * 2)


class Ledger(LogicBase):
    logic_type = LogicType.WORKER

    async def run_logic(self, message: Message) -> None:
        pass


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
    (tmp_path / "index.html").write_text("<!doctype html><link rel=icon href=data:,><body>")
    settings = Settings(redis_url=redis_url, prefix=prefix, threads=2)
    brokes = [Broke(WebSocketEndpoint(port=0, pages=tmp_path), settings=settings) for _ in range(2)]
    for broke in brokes:
        broke.add_logic(Twice())
        broke.add_logic(Ledger())
    async with edge(brokes[0]) as node, worker(brokes[1]), Proxy(node.addresses[0]) as proxy:
        brokes[0]._operations = node.runtime.operations
        async with browser(proxy.url.replace("ws://", "http://").removesuffix("ws")) as page:
            await page.until("document.readyState === 'complete' && location.protocol === 'http:'")
            await page.run(START)
            await page.until("c.state === 'open'")
            assert await page.run("c.request(21, 'twice')") == 42
            assert await page.run("c.deliver(1, 'ledger').then((receipt) => receipt.state)") == "done"
            proxy.reset()
            await brokes[0].send_message(Message(to_client="ann", message_raw=b'"missed"'))
            await page.until("told.length === 2 && got.length === 1")
            assert await page.run("[told, got]") == [[None, True], ["missed"]]
            assert await page.run("c.request(4, 'twice')") == 8
            await brokes[0].remove_client("ann")
            await page.until("window.ended === 4500")
            assert await page.run("c.state") == "closed"
