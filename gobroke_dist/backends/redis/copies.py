"""An answer that counts only when replicas have what was written: Redis' command WAIT, sent behind the writes."""

from __future__ import annotations

from typing import Any, NamedTuple

from redis.exceptions import TimeoutError as RedisTimeoutError

from gobroke_dist.settings import Settings

_SHARE = 0.5  # of the time for an answer: what waits is answered before the connection is given up


class Copies(NamedTuple):
    """How many, and for how long they are waited for.

    Attributes:
        replicas: at least one.
        milliseconds: then Redis answers how many have it.
    """

    replicas: int
    milliseconds: int

    @property
    def command(self) -> tuple[str, int, int]:
        """What is sent last: it answers for all that Redis has written until then, also for others."""
        return "WAIT", self.replicas, self.milliseconds

    def check(self, answer: Any) -> None:
        """Read the answer.

        Raises:
            RedisTimeoutError: too few have it, so it may be lost with the primary; or the primary is one no more.
        """
        if isinstance(answer, Exception):
            raise RedisTimeoutError(f"it is not known which replicas have it: {answer}") from answer
        if answer < self.replicas:
            seconds = self.milliseconds / 1000
            raise RedisTimeoutError(f"{answer} of {self.replicas} replicas have it, after {seconds:g} s")


def wanted(settings: Settings) -> Copies | None:
    """What ``wait_replicas`` says; None: an answer counts at once."""
    if not settings.wait_replicas:
        return None
    return Copies(settings.wait_replicas, max(1, int(settings.redis_timeout * 1000 * _SHARE)))
