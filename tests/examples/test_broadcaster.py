"""The broadcaster, in both variants."""

from __future__ import annotations

from pathlib import Path

from tests.examples.conftest import gobroke_run
from tests.examples.websocket_client import connected


async def test_everybody_gets_it_from_either_variant(redis_url: str, tmp_path: Path) -> None:
    """Both variants reach the clients of both edges, the sender included; the WORKER keeps the order."""
    with gobroke_run(tmp_path, "examples.broadcaster:broke", redis_url, edges=2) as urls:
        async with connected(urls[0]) as ann, connected(urls[1]) as ben:
            await ann.send("broadcaster", {"at": "once"})
            for one in (ann, ben):
                await one.until(lambda one=one: one.data() == [{"at": "once"}])
            for number in range(50):
                await ann.send("sequential", number)
            for one in (ann, ben):
                await one.until(lambda one=one: one.data()[1:] == list(range(50)))
