"""The how-to's clients do what it says, at a real edge (contract C7, C11, E5)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, Message, Settings
from gobroke_dist.roles import edge
from tests.connection.logics import Twice
from tests.eventually import eventually
from tests.examples.chromium import browser, find_chromium

PAGE = (Path(__file__).parents[2] / "docs/how-to/connect-a-client.md").read_text()
LISTEN = "<script>window.logged = []; console.log = (...what) => logged.push(...what);</script>"


def block(language: str) -> str:
    """The page's one block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    assert isinstance(found, str)
    return found


@asynccontextmanager
async def served(redis_url: str, prefix: str, pages: Path) -> AsyncIterator[tuple[Broke, str]]:
    """An application with the logics that the page names, and its address."""
    settings = Settings(redis_url=redis_url, prefix=prefix)
    broke = Broke(WebSocketEndpoint(port=0, pages=pages), settings=settings)
    broke.add_logic(Twice("double"))
    async with edge(broke) as node:
        broke._operations = node.runtime.operations
        yield broke, node.addresses[0]


async def test_c11_e5_the_python_client_asks_hears_answers_and_ends(
    redis_url: str, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program: dict[str, Any] = {}
    exec(block("python"), program)
    printed: list[str] = []

    def has(line: str) -> bool:
        printed.extend(capsys.readouterr().out.splitlines())
        return line in printed

    async with served(redis_url, prefix, tmp_path) as (broke, url), asyncio.timeout(20):
        talking = asyncio.create_task(program["talk"](url))
        await eventually(lambda: has("42"), within=5)
        await broke.send_message(Message(to_client="ann", message_raw=b'"hello"'))
        await eventually(lambda: has("hello"), within=5)
        assert (await broke.request(Message(to_client="ann", message_raw=b'"who?"'))).json() == "Ann"
        await broke.remove_client("ann")
        await talking
        assert any(line.startswith("4500 ") for line in [*printed, *capsys.readouterr().out.splitlines()])


@pytest.mark.skipif(find_chromium() is None, reason="no chromium on the PATH")
async def test_c11_the_page_asks_hears_and_answers(redis_url: str, prefix: str, tmp_path: Path) -> None:
    html = f"<!doctype html><link rel=icon href=data:,><body>{LISTEN}{block('html')}"
    (tmp_path / "index.html").write_text(html)
    async with (
        served(redis_url, prefix, tmp_path) as (broke, url),
        browser(url.replace("ws://", "http://").removesuffix("ws")) as page,
    ):
        await page.until("logged.includes(42)")
        await broke.send_message(Message(to_client="ann", message_raw=b'"hello"'))
        await page.until("logged.includes('hello')")
        assert (await broke.request(Message(to_client="ann", message_raw=b'"who?"'))).json() == "Ann"
        assert page.problems == []
