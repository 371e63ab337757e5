"""The HTTP API over TLS, with a certificate of its own."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gobroke_dist import CouldNotCreateServer, Settings, Unavailable
from gobroke_dist.ops import APIClient, AsyncAPIClient
from tests.cluster.conftest import Cluster
from tests.endpoints.ways import Identity
from tests.ops.conftest import TOKEN


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    return Settings(
        redis_url=redis_url, prefix=prefix, drain_timeout=5, api_tokens=TOKEN, api_port=0, api_host="localhost"
    )


async def test_o4_over_tls_both_clients_check_the_certificate(settings: Settings, tmp_path: Path) -> None:
    """Who does not believe its authority, or speaks without TLS, gets nothing."""
    identity = Identity(tmp_path)
    own = {f"api_{name}": path for name, path in identity.settings.items()}
    async with AsyncExitStack() as stack:
        edge = await Cluster(settings.model_copy(update=own), stack).edge()
        url = edge.node.api_address
        assert url.startswith("https://localhost:")

        def blocking(url: str, tls: ssl.SSLContext | None) -> int:
            with APIClient(url, TOKEN, attempts=1, tls=tls) as api:
                return api.count_clients().count

        async def awaiting(url: str, tls: ssl.SSLContext | None) -> int:
            async with AsyncAPIClient(url, TOKEN, attempts=1, tls=tls) as api:
                return (await api.count_clients()).count

        assert await asyncio.to_thread(blocking, url, identity.trusting) == 0
        assert await awaiting(url, identity.trusting) == 0
        for wrong in (url, url.replace("https:", "http:")):
            with pytest.raises(Unavailable):
                await asyncio.to_thread(blocking, wrong, None)
            with pytest.raises(Unavailable):
                await awaiting(wrong, None)


async def test_o4_what_the_api_cannot_listen_with_is_said_by_its_own_names(settings: Settings, tmp_path: Path) -> None:
    """A certificate without its key; a port that is taken."""
    async with AsyncExitStack() as stack:
        cluster = Cluster(settings, stack)
        taken = int((await cluster.edge()).node.api_address.rsplit(":", 1)[1])
        wrong = (
            ({"api_tls_certificate": tmp_path / "none.pem"}, "GOBROKE_API_TLS_CERTIFICATE and GOBROKE_API_TLS_KEY"),
            ({"api_port": taken}, "GOBROKE_API_PORT"),
            ({"api_host": "192.0.2.1"}, "GOBROKE_API_HOST"),
        )
        for update, said in wrong:
            with pytest.raises(CouldNotCreateServer, match=said):
                await cluster.edge(broke=cluster.broke(settings=settings.model_copy(update=update)))
