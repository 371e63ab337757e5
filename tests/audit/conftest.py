"""Records in a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from blockbuster import blockbuster_ctx

from gobroke_dist.audit.journal import AsyncJournal, Journal


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def stream(prefix: str) -> str:
    """The key of a record that no other test has."""
    return f"{prefix}:audit"


@pytest.fixture
def journal(redis_url: str, stream: str) -> Iterator[Journal]:
    made = Journal(redis_url, stream, patience=5)
    yield made
    made.discard()


@pytest.fixture
async def async_journal(redis_url: str, stream: str) -> AsyncIterator[AsyncJournal]:
    made = AsyncJournal(redis_url, stream, patience=5)
    yield made
    await made.close()


@pytest.fixture
def never_blocking() -> Iterator[None]:
    """Fails a test in which anything of the audit blocks the event loop."""
    with blockbuster_ctx("gobroke_dist.audit") as guard:
        for function in guard.functions.values():
            function.can_block_in("redis/driver_info.py", "__post_init__")  # reads a file for each new connection
        yield
