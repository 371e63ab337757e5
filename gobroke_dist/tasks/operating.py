"""An operator's way to the queues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from dramatiq.errors import ConnectionClosed

from gobroke_dist.backends.redis.errors import translate
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.link import Link


@contextmanager
def operating(settings: Settings) -> Iterator[Link]:
    """A link for the length of a block.

    Raises:
        RedisUnavailable: Redis does not answer, or refuses; what was done in the block before stays done.
    """
    link = Link(settings)
    try:
        yield link
    except ConnectionClosed as error:
        raise RedisUnavailable(str(error)) from error
    except redis.RedisError as error:
        raise translate(error) from error
    finally:
        link.close()
