"""Dead letters come page by page (contracts O4, W11)."""

from __future__ import annotations

import dramatiq
import pytest
import redis

from gobroke_dist.errors import CallInvalid
from gobroke_dist.keys import QueueKeys
from tests.ops.conftest import Served


def bury(store: redis.Redis, keys: QueueKeys, letters: dict[str, float]) -> None:
    """Dead letters with these ids, which died then."""
    message = dramatiq.Message("q", "q", (), {}, {}).encode()
    store.zadd(keys.dead, letters)
    store.hset(keys.dead_messages, mapping=dict.fromkeys(letters, message))


async def listed(served: Served, limit: int) -> list[tuple[str, str]]:
    """All of them, by pages."""
    found, cursor = [], ""
    while True:
        page = await served.api.list_dead(limit=limit, cursor=cursor)
        assert len(page.dead) <= limit
        found += [(one.queue, one.id) for one in page.dead]
        cursor = page.cursor
        if not cursor:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_o4_w11_each_dead_letter_is_on_one_page(served: Served, redis_url: str, prefix: str, limit: int) -> None:
    """Two queues, several that died in one millisecond, one whose message is lost: the latest first in each."""
    with redis.Redis.from_url(redis_url) as store:
        keys = QueueKeys(prefix, "doomed")
        bury(store, keys, {"a": 1000.0, "b": 2000.0, "c": 2000.0, "d": 2000.0, "e": 3000.0})
        bury(store, QueueKeys(prefix, "other"), {"x": 500.0, "y": 500.0})
        store.hdel(keys.dead_messages, "c")
    doomed = [("doomed", one) for one in ("e", "d", "b", "a")]
    assert await listed(served, limit) == [*doomed, ("other", "y"), ("other", "x")]
    assert (await served.api.list_dead(queue="other", limit=limit)).total == 2


async def test_o4_w11_what_is_handled_between_two_pages_moves_nothing(
    served: Served, redis_url: str, prefix: str
) -> None:
    """The one that the page ended with is discarded, and newer ones die."""
    with redis.Redis.from_url(redis_url) as store:
        keys = QueueKeys(prefix, "doomed")
        bury(store, keys, {"a": 1000.0, "b": 2000.0, "c": 3000.0})
        first = await served.api.list_dead(limit=2)
        await served.api.discard_dead("doomed", "b")
        bury(store, keys, {"d": 4000.0})
    assert [one.id for one in (await served.api.list_dead(limit=2, cursor=first.cursor)).dead] == ["a"]


@pytest.mark.parametrize("cursor", ["x", "WzFd", "WyJub2JvZHkiLDEuMCwiYSJd", "WyJkb29tZWQiLDFlNDAwLCJhIl0="])
async def test_o4_a_cursor_that_no_page_ended_with_is_refused(served: Served, cursor: str) -> None:
    """Not base64, not a place, of no queue, of no time."""
    with pytest.raises(CallInvalid) as raised:
        await served.api.list_dead(cursor=cursor)
    assert raised.value.field == "cursor"
