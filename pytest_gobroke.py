"""Fixtures for tests of applications. pytest loads this at its start, so it imports nothing until one is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gobroke_dist.testing import Cluster
    from gobroke_dist.testing.faults import Proxy


@pytest.fixture
def gobroke_cluster() -> type[Cluster]:
    """Makes in-memory clusters: ``async with gobroke_cluster(broke, nodes=2) as cluster``."""
    from gobroke_dist.testing import Cluster  # noqa: PLC0415 - see above

    return Cluster


@pytest.fixture
def gobroke_proxy() -> type[Proxy]:
    """Makes proxies that spoil real connections: ``async with gobroke_proxy(redis_url) as proxy``."""
    from gobroke_dist.testing.faults import Proxy  # noqa: PLC0415 - see above

    return Proxy
