"""What all tests share: one real Redis per run, and a key prefix of its own for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from gobroke_dist.embedded import EmbeddedRedis


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a real Redis that this run started for itself."""
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        server = EmbeddedRedis(Path(folder))
        yield server.start()
        server.stop()


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test has, so that all can share one server."""
    return f"t{uuid4().hex[:12]}"
