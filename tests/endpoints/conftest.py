"""Fixtures of tests of endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession

from gobroke_dist import Settings
from tests.endpoints.http_street import Street


@pytest.fixture
async def street(redis_url: str, prefix: str) -> AsyncIterator[Street]:
    """Nodes with an HTTP endpoint, as many as a test starts, and one client of them."""
    settings = Settings(redis_url=redis_url, prefix=prefix, drain_timeout=5, node_lease=1.5, ping_timeout=3)
    async with ClientSession() as http, AsyncExitStack() as stack:
        yield Street(settings, stack, http)
