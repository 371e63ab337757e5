"""Redis behind Sentinels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gobroke_dist.backends.redis import overview
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from tests.topologies.failover import survives
from tests.topologies.product import works
from tests.topologies.servers import SENTINEL_PASSWORD, Watched


async def test_c9_everything_works_behind_sentinels_and_goes_on_after_a_failover(
    folder: Path, settings_for: Callable[..., Settings]
) -> None:
    """Whatever was accepted before, while and after the primary was killed has its effect once, in order per key."""
    servers = Watched(folder)
    settings = settings_for(servers.url, sentinel_password=SENTINEL_PASSWORD)
    with servers.running():
        with pytest.raises(RedisUnavailable, match="watches no primary named 'other'"):
            overview.ping(settings_for(servers.url.replace("=main", "=other"), sentinel_password=SENTINEL_PASSWORD))
        await works(settings)
        await survives(
            settings.model_copy(update={"prefix": f"{settings.prefix}-2"}), servers.fail, servers.failed_over
        )
