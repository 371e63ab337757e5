"""The chat's page in real browsers on two edges."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.examples.cable import cable
from tests.examples.chromium import Page, browser, find_chromium
from tests.examples.websocket_client import connected

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no chromium on the PATH to open the page in")

SHOWN = """Array.from(document.querySelectorAll(".line"), (line) =>
    [line.querySelector(".number").textContent, line.querySelector(".name").textContent,
     line.querySelector(".text").textContent])"""
PEOPLE = 'Array.from(document.querySelectorAll(".person .name"), (name) => name.textContent)'
NODE = 'document.getElementById("node").textContent'
STATE = 'document.getElementById("state").dataset.state'


def page_of(url: str, room: str, name: str) -> str:
    """The page of an edge that enters a room by itself."""
    return f"{url.replace('ws://', 'http://').removesuffix('ws')}#{urlencode({'room': room, 'name': name})}"


async def joined(page: Page, people: list[str]) -> None:
    """Wait until the page shows these people."""
    await page.until(f"JSON.stringify({PEOPLE}) === JSON.stringify({people!r})")


async def shown(page: Page, count: int) -> list[list[str]]:
    """Wait until the page shows so many numbered lines, and return them."""
    await page.until(f"{SHOWN}.filter((line) => line[0] !== '…').length >= {count}")
    lines: list[list[str]] = await page.run(SHOWN)
    return lines


async def test_two_browsers_on_two_edges_chat(chat: list[str], room: str) -> None:
    """Both see each other and the same lines under the same numbers; nothing that was typed becomes HTML."""
    nasty = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    async with browser(page_of(chat[0], room, "Ann")) as ann, browser(page_of(chat[1], room, "Ben <i>B</i>")) as ben:
        await joined(ann, ["Ann (you)", "Ben <i>B</i>"])
        await joined(ben, ["Ann", "Ben <i>B</i> (you)"])
        assert await ann.run(NODE) != await ben.run(NODE)
        await ann.type("hello from the first edge")
        await shown(ben, 1)
        await ben.type(nasty)
        await shown(ann, 2)
        expected = [["1", "Ann", "hello from the first edge"], ["2", "Ben <i>B</i>", nasty]]
        assert await shown(ann, 2) == await shown(ben, 2) == expected
        assert await ann.run("document.querySelectorAll('.line img, .line b, .person i').length") == 0
        assert room in await ann.run("document.title")
        assert ann.problems == ben.problems == []


async def test_the_page_reconnects_and_says_what_was_not_confirmed(chat: list[str], room: str) -> None:
    """A line that was typed while the connection was gone arrives once, and what was missed is shown."""
    async with (
        cable(chat[0]) as wire,
        browser(page_of(wire.url, room, "Ann")) as ann,
        connected(chat[1], name="Ben") as ben,
    ):
        await joined(ann, ["Ann (you)"])
        await ben.enter(room)
        await joined(ann, ["Ann (you)", "Ben"])
        await ann.type("before")
        await ben.until(lambda: len(ben.numbered()) == 1)
        # Ben may have the line before Ann's page knows of it; unplugged then, it would rightly count as unconfirmed.
        await ann.until("document.querySelectorAll('.pending').length === 0")
        await wire.unplug()
        await ann.until(f"{STATE} !== 'open'")
        await ann.type("while I was away")
        await ben.send("say", {"room": room, "text": "did I miss something?"})
        await ben.until(lambda: len(ben.numbered()) == 2)
        assert await ann.run("document.querySelectorAll('.pending').length") == 1
        await wire.plug_in()
        expected = ["before", "did I miss something?", "while I was away"]
        lines = await shown(ann, 3)
        assert lines == [["1", "Ann", expected[0]], ["2", "Ben", expected[1]], ["3", "Ann", expected[2]]]
        assert ben.numbered() == list(enumerate(expected, start=1))


async def test_the_page_shows_what_is_refused(chat: list[str], room: str) -> None:
    """An error frame is shown in words, the line is marked, and its text can be put right."""
    async with browser(page_of(chat[0], room, "Ann")) as ann:
        await joined(ann, ["Ann (you)"])
        await ann.run("document.getElementById('text').maxLength = 5000")
        await ann.type("x" * 2001)
        await ann.until("!document.getElementById('alert').hidden")
        assert "payload_invalid (text)" in await ann.run("document.getElementById('alert').textContent")
        assert await ann.run("document.querySelectorAll('.refused').length") == 1
        assert await ann.run("document.getElementById('text').value.length") == 2001
