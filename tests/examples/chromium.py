"""Headless Chromium, driven by the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.eventually import eventually

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """The path of a Chromium, if one is on the PATH."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One tab.

    Args:
        socket: its DevTools connection.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.problems: list[str] = []
        self.listening = asyncio.create_task(self._listen())

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools call."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        frame = await asyncio.wait_for(answer, 15)
        assert "error" not in frame, frame
        result: dict[str, Any] = frame["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to a page."""
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """The JSON-able value of an expression."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, script: str, within: float = 10) -> Any:
        """Wait until an expression is true."""

        async def check() -> Any:
            return await self.run(script)

        try:
            return await eventually(check, within)
        except AssertionError:
            raise AssertionError(
                f"not within {within} s: {script}; {await self.run('document.body.innerText')}"
            ) from None

    async def type(self, text: str) -> None:
        """Type where the focus is, and press Enter."""
        await self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)

    async def look(self, *, width: int = 1200, height: int = 800, dark: bool = False) -> bytes:
        """Take a picture, as a PNG."""
        scheme = "dark" if dark else "light"
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        picture = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(picture["data"])

    async def _listen(self) -> None:
        async for frame in self._socket:
            said = json.loads(frame.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Runtime.exceptionThrown":
                self.problems.append(said["params"]["exceptionDetails"].get("exception", {}).get("description", "?"))
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.problems.append(said["params"]["entry"]["text"])


@asynccontextmanager
async def browser(url: str) -> AsyncIterator[Page]:
    """A browser of its own, with one tab that shows ``url``."""
    program = find_chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        command = (program, *FLAGS, f"--user-data-dir={folder}", "about:blank")
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
        )
        try:
            async with aiohttp.ClientSession() as session:
                address = await _tab(session, Path(folder) / "DevToolsActivePort")
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    page = Page(socket)
                    await page.open(url)
                    yield page
                await page.listening
        finally:
            await _end(process)


async def _tab(session: aiohttp.ClientSession, port_file: Path) -> str:
    port = await eventually(lambda: _port_in(port_file), within=30)

    async def first_tab() -> str:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            return next((tab["webSocketDebuggerUrl"] for tab in await answer.json() if tab["type"] == "page"), "")

    found: str = await eventually(first_tab, within=10)
    return found


def _port_in(file: Path) -> str | None:
    """The port that Chromium writes into a file of two lines when it listens."""
    lines = file.read_text().splitlines() if file.exists() else []
    return lines[0] if len(lines) == 2 else None


async def _end(process: Process) -> None:
    """End the browser and its helpers, which would go on writing into the folder that is to be removed."""
    os.killpg(process.pid, signal.SIGKILL)
    await asyncio.wait_for(process.wait(), 10)
    await eventually(lambda: not _group_exists(process.pid), within=10)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
