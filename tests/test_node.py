"""An edge, where it is not the sum of its parts."""

from __future__ import annotations

import logging

import pytest

from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.node import _reported


@pytest.mark.parametrize(("error", "level"), [(RedisUnavailable("away"), "WARNING"), (KeyError("a defect"), "ERROR")])
async def test_c8_what_fails_in_the_background_while_redis_is_away_is_told_as_what_it_is(
    error: Exception, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise error

    with caplog.at_level(logging.WARNING):
        await _reported(fails())
    (record,) = caplog.records
    assert record.levelname == level
    assert (record.exc_info is not None) == (level == "ERROR")
