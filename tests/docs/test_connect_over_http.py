"""The examples of "Connect over HTTP" do what the page says, with curl and a real EventSource (contract E1, C7)."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from endpoints import HTTPEndpoint, WebSocketEndpoint
from gobroke_dist import Broke, LogicBase, Message, Settings
from gobroke_dist.node import Node
from gobroke_dist.roles import edge
from gobroke_dist.testing.faults import Proxy
from tests.eventually import eventually
from tests.examples.chromium import browser, find_chromium

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "connect-over-http.md").read_text()


def example(language: str, number: int = 0) -> str:
    """The block of this number in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)[number]


def application(settings: Settings, pages: Path | None = None) -> Broke:
    """The page's own, on free ports; with pages, they may come from another port."""
    names: dict[str, Any] = {}
    exec(example("python"), names)
    made = Broke(
        [HTTPEndpoint(port=0, origins=("*",)), *([] if pages is None else [WebSocketEndpoint(port=0, pages=pages)])],
        settings=settings,
    )
    logic: LogicBase = names["Echo"]()
    made.add_logic(logic)
    return made


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    return Settings(redis_url=redis_url, prefix=prefix, drain_timeout=5)


async def run(node: Node, number: int) -> list[str]:
    """What a shell example prints, line by line."""
    script = example("sh", number).replace("http://127.0.0.1:8081/client", node.addresses[0])
    command = ("bash", "-ec", script)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, said
    return said.decode().replace("}{", "}\n{").splitlines()


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="no curl, or no jq")
async def test_e1_curl_polls_posts_streams_and_leaves(settings: Settings) -> None:
    async with edge(application(settings)) as node:
        taken, answer = map(json.loads, await run(node, 0))
        assert "uuid" in taken
        assert [frame["data"] for frame in answer["frames"]] == ["hello"]
        streamed = [json.loads(line[6:]) for line in await run(node, 1) if line.startswith("data: ")]
        assert [(frame["type"], frame.get("data")) for frame in streamed] == [("welcome", None), ("message", "hello")]
        assert streamed[0]["recovered"] is True
        assert [json.loads(line) for line in await run(node, 2)] == [{"uuid": None}]
        await eventually(lambda: "cleo" not in node.runtime.hub)


@pytest.mark.skipif(find_chromium() is None, reason="no chromium on the PATH")
async def test_e1_c7_an_event_source_of_another_host_comes_back_and_misses_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    broke = application(settings, tmp_path)
    async with edge(broke) as node, Proxy(node.addresses[0]) as proxy:
        site = node.addresses[1].replace("ws://", "http://").removesuffix("ws")
        (tmp_path / "index.html").write_text(example("html").replace("http://127.0.0.1:8081/client", proxy.url))
        async with browser(site) as page:
            await page.until("document.body.innerText.includes('hello')")
            proxy.reset()
            await node.runtime.operations.send_message(Message(to_client="dora", message_raw=b'"missed"'))
            await page.until("document.body.innerText.includes('missed')", within=15)
            await node.runtime.operations.send_message(Message(to_client="dora", message_raw=b'"seen"'))
            await page.until("document.body.innerText.includes('seen')")
            log = (await page.run("document.body.innerText")).splitlines()
            said = [json.loads(line)["data"] for line in log if line]
            assert sorted(said) == ["hello", "hello", "missed", "seen"]  # it says hello to each welcome
            assert "dora" in node.runtime.hub
            await page.run("location.replace('about:blank')")
            await eventually(lambda: "dora" not in node.runtime.hub)
