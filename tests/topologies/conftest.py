"""A short folder for servers' files, and settings for quick tests."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gobroke_dist.settings import Settings


@pytest.fixture(autouse=True)
def _dramatiq(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says less, and tries again sooner."""
    logging.getLogger("dramatiq").setLevel(logging.CRITICAL)
    monkeypatch.setattr("dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.2)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where servers keep their files."""
    with tempfile.TemporaryDirectory(prefix="gb-") as made:
        yield Path(made)


@pytest.fixture
def settings_for(prefix: str) -> Callable[..., Settings]:
    """Settings for a URL, with a prefix of the test's own."""

    def make(url: str, **more: Any) -> Settings:
        given = {"prefix": prefix, "threads": 4, "drain_timeout": 5, "worker_lease": 2, "redis_timeout": 2, **more}
        return Settings(redis_url=url, **given)

    return make
