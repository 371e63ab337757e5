"""Which nominal times were fired, for a scheduler that starts."""

from __future__ import annotations

from collections.abc import Mapping

import redis

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.settings import Settings


class ScheduleRecord:
    """Reads the record that firing writes. See ``gobroke_dist.scheduler.Record``."""

    def __init__(self, settings: Settings) -> None:
        self._redis = connect(settings)
        self._key = ClusterKeys(settings.prefix).schedule

    async def since(self, nominal_ms: Mapping[str, int]) -> dict[str, int]:
        """One trip for all logics. Raises ``RedisUnavailable``."""
        if not nominal_ms:
            return {}
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name, nominal in nominal_ms.items():
                    pipeline.hsetnx(self._key, name, str(nominal))
                pipeline.hmget(self._key, list(nominal_ms))
                fired = (await pipeline.execute())[-1]
        except redis.RedisError as error:
            raise RedisUnavailable(str(error)) from error
        return dict(zip(nominal_ms, map(int, fired), strict=True))

    async def close(self) -> None:
        """Give the connection back."""
        await self._redis.aclose()
