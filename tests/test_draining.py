"""How the clients of an edge that ends are sent away."""

from __future__ import annotations

import pytest

from gobroke_dist.client import Client
from gobroke_dist.draining import BATCH_SECONDS, batch_size, come_back_in, send_away
from gobroke_dist.session import CloseCode, OutboxLimits, Session
from gobroke_dist.settings import Settings
from gobroke_dist.wire.frame import JSONProtocol


@pytest.mark.parametrize(
    ("clients", "rate", "timeout", "size"),
    [
        (0, 500, 25, 50),
        (1, 1, 25, 1),
        (5_000, 500, 25, 50),  # ten seconds, and 12.5 there are
        (20_000, 500, 25, 160),  # in 125 batches
        (100, 1, 0.1, 100),  # no time for more than one
    ],
)
def test_e7_a_batch_is_what_the_rate_allows_or_what_the_deadline_needs(
    clients: int, rate: float, timeout: float, size: int
) -> None:
    settings = Settings(drain_rate=rate, drain_timeout=timeout)
    assert batch_size(clients, settings) == size
    assert clients / size * BATCH_SECONDS <= max(timeout / 2, BATCH_SECONDS)


async def test_e7_they_go_batch_after_batch_each_with_a_time_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = [Session(Client(), JSONProtocol(), OutboxLimits(10, 1000), lambda: None) for _ in range(95)]
    gone: list[int] = []

    async def sleep(seconds: float) -> None:
        assert seconds == BATCH_SECONDS
        gone.append(sum(session.ending for session in sessions))

    monkeypatch.setattr("gobroke_dist.draining.asyncio.sleep", sleep)
    await send_away(sessions, Settings(drain_rate=200, retry_spread=3))
    assert gone == [20, 40, 60, 80]
    assert {session.close_code for session in sessions} == {CloseCode.GOING_AWAY}
    times = [session.retry_after for session in sessions]
    assert all(time is not None and 0 <= time <= 3000 for time in times)
    assert len(set(times)) > 30  # of 95 random ones


def test_e7_without_a_spread_all_may_come_back_at_once() -> None:
    assert come_back_in(Settings(retry_spread=0)) == 0
