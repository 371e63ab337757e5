from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gobroke_dist import roles
from gobroke_dist.pauses import spare_what_stays


@pytest.fixture(autouse=True)
def _thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_a_full_collection_passes_over_what_was_there_and_still_finds_what_came_later() -> None:
    spare_what_stays()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects(generation=2)) < 1000
    circle: list[Any] = []
    circle.append(circle)
    del circle
    assert gc.collect() > 0


@pytest.mark.parametrize(("run", "context"), [(roles.run_edge, "edge"), (roles.run_together, "together")])
def test_w16_an_edge_that_has_started_is_spared_the_long_collections(
    monkeypatch: pytest.MonkeyPatch, run: Any, context: str
) -> None:
    @contextlib.asynccontextmanager
    async def started(_: object) -> AsyncIterator[None]:
        yield

    async def signal() -> None:
        assert gc.get_freeze_count() > 10_000

    monkeypatch.setattr(roles, context, started)
    monkeypatch.setattr(roles, "until_signal", signal)
    asyncio.run(run(None))
