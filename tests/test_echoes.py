"""What a node publishes to itself."""

from __future__ import annotations

import pytest

from gobroke_dist.echoes import Echoes
from gobroke_dist.errors import RedisUnavailable


async def test_an_echo_is_heard_when_its_own_token_arrives() -> None:
    """Another one's token, or one that nobody waits for, is no matter."""
    echoes = Echoes(5)
    with echoes.expected() as one, echoes.expected() as other:
        echoes.arrived(one.token)
        echoes.arrived("foreign")
        await one.heard()
        assert not other.back.is_set()
    echoes.arrived(one.token)


async def test_an_echo_that_does_not_come_is_an_outage() -> None:
    """Who waits is told to try again."""
    with Echoes(0.01).expected() as echo, pytest.raises(RedisUnavailable, match=r"0\.01 s"):
        await echo.heard()
