"""Every hostile input gets its documented answer, and who comes next is served (contract E8, E3)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gobroke_dist.session import CloseCode
from tests.abuse.answers import Row, Way
from tests.abuse.table import TABLE
from tests.abuse.tokens import EC, REVOKED, RSA
from tests.abuse.town import Town
from tests.endpoints.ways import Identity
from tests.eventually import eventually, eventually_sync

ROOT = Path(__file__).parents[2]
AT_ONCE = 32
ROWS = [row for rows in TABLE.values() for row in rows]


@contextmanager
def town(folder: Path, redis_url: str, prefix: str) -> Iterator[Town]:
    """An edge of its own process; it ends well, and has logged no error and no warning of asyncio."""
    Identity(folder)
    (folder / "keys.json").write_text(json.dumps({"keys": [RSA.jwk, EC.jwk]}))
    (folder / "pages").mkdir()
    (folder / "pages" / "index.html").write_text("start")
    (folder / "secret").write_text("secret")
    said = folder / "said"
    environment = {"ABUSE_FOLDER": str(folder), "GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix}
    with said.open("wb") as output:
        edge = subprocess.Popen(
            [sys.executable, "-m", "gobroke_dist.cli", "edge", "tests.abuse.program:broke"],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            stderr=output,
        )
    try:
        ready = eventually_sync(lambda: re.search(r"edge is ready at ([^\"]+)", said.read_text()), within=30)
        yield Town(ready[1].split(", "))
        assert edge.poll() is None, said.read_text()
        edge.send_signal(signal.SIGTERM)
        assert edge.wait(30) == 0, said.read_text()
        complaints = _complaints(said.read_text())
        assert complaints == [], json.dumps(complaints, indent=1)
    finally:
        edge.kill()
        edge.wait(30)


def _complaints(said: str) -> list[Any]:
    """What no input may make an edge say: errors, and what asyncio or Python itself has to say."""
    records: list[dict[str, Any]] = []
    for line in said.splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            records.append({"level": "error", "event": line})
    return [
        record
        for record in records
        if record["level"] in ("error", "critical") or record.get("logger") in ("asyncio", "py.warnings")
    ]


async def _round(at: Town) -> list[str]:
    """Send every row, and serve somebody after each. Returns what was not as the table says."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def play(row: Row, way: Way) -> str | None:
        async with turns:
            try:
                got = await at.answer(row, way)
                await at.serve(way)
            except Exception as error:  # noqa: BLE001 - one row's failure is told beside those of others
                return f"{row.what} ({way}): {type(error).__name__}: {error}"
        return None if got == row.answers[way] else f"{row.what} ({way}): {got}, not {row.answers[way]}"

    pairs = [(row, way) for row in ROWS for way in row.answers]
    return [failure for failure in await asyncio.gather(*(play(*pair) for pair in pairs)) if failure]


async def _settled(at: Town) -> dict[str, int]:
    """The edge's state when all that came has gone."""
    lowest: dict[str, int] = await at.ask("state", 0)

    async def steady() -> bool:
        nonlocal lowest
        before, lowest = lowest, await at.ask("state", 0)
        return before["sockets"] == lowest["sockets"] and before["tasks"] == lowest["tasks"]

    await asyncio.sleep(2.5)  # longer than a client that polls is waited for, and than a socket may linger
    await eventually(steady, within=10)
    return lowest


def test_e8_the_table_is_large_and_says_nothing_twice() -> None:
    assert len(ROWS) >= 120
    said = [(section, row.what, way) for section, rows in TABLE.items() for row in rows for way in row.answers]
    assert len(said) == len(set(said))


def test_e8_complaints_are_found() -> None:
    """What the suite below relies on."""
    fine = json.dumps({"level": "warning", "logger": "endpoints.link", "event": "x"})
    assert _complaints(fine) == []
    for bad in ({"level": "error", "event": "x"}, {"level": "warning", "logger": "asyncio", "event": "x"}):
        assert len(_complaints(f"{fine}\n{json.dumps(bad)}\n")) == 1
    assert len(_complaints("Traceback (most recent call last):")) == 1


@pytest.mark.timeout(180)
async def test_e8_e3_every_hostile_input_has_its_answer_and_costs_the_edge_nothing(
    tmp_path: Path, redis_url: str, prefix: str
) -> None:
    """Twice, so that what the first round had to load and grow counts for nothing: of what is left then, memory is
    back to within 10 %, and no task and no socket is more.
    """
    with town(tmp_path, redis_url, prefix) as at:
        assert await at.ask("revoke", REVOKED) is True
        assert (failures := await _round(at)) == [], "\n".join(failures)
        before = await _settled(at)
        assert (failures := await _round(at)) == [], "\n".join(failures)
        after = await _settled(at)
        assert after["rss"] <= before["rss"] * 1.1, (before, after)
        assert after["tasks"] <= before["tasks"] + 2, (before, after)
        assert after["sockets"] <= before["sockets"] + 2, (before, after)


def test_e5_the_table_names_every_close_code_that_an_input_can_have() -> None:
    codes = {answer.code for row in ROWS for answer in row.answers.values() if answer.kind == "close"}
    ours = {
        CloseCode.PING_TIMEOUT,
        CloseCode.TOO_FAST,
        CloseCode.IDLE,
        CloseCode.UNAUTHORISED,
        CloseCode.REVOKED,
    }
    theirs = {
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_TEXT,
        CloseCode.TOO_BIG,
    }
    assert {int(code) for code in ours | theirs} <= codes
