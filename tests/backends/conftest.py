"""The places that a contract suite runs in."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import fakeredis
import pytest

from gobroke_dist.embedded import EmbeddedRedis
from gobroke_dist.settings import Settings
from tests.backends.places import MemoryPlace, Place, RedisPlace


@pytest.fixture(params=["memory", "fakeredis", "redis"])
async def place(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Place]:
    if request.param == "memory":
        made: Place = MemoryPlace()
    elif request.param == "fakeredis":
        made = RedisPlace(Settings(prefix=prefix), fakeredis.FakeServer())
    else:
        made = RedisPlace(Settings(prefix=prefix, redis_url=request.getfixturevalue("redis_url")))
    yield made
    await made.close()


@pytest.fixture
async def real(redis_url: str, prefix: str) -> AsyncIterator[RedisPlace]:
    """A real Redis, whose connections carry the test's prefix as their name."""
    named = f"{redis_url}?client_name={prefix}"
    made = RedisPlace(Settings(prefix=prefix, redis_url=named, redis_timeout=0.5))
    yield made
    await made.close()


@pytest.fixture
async def own_server(prefix: str) -> AsyncIterator[RedisPlace]:
    """A server that no other test uses, so that it can be spoiled."""
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        server = EmbeddedRedis(Path(folder))
        place = RedisPlace(Settings(prefix=prefix, redis_url=server.start()))
        yield place
        await place.close()
        server.stop()
