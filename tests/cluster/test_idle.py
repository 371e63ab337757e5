"""What a process that has nothing to do asks of Redis."""

from __future__ import annotations

import time

import pytest
import redis

from gobroke_dist import LogicBase, LogicType, Settings
from tests.cluster.conftest import Cluster
from tests.eventually import eventually

DEFAULTS = Settings()


class Quiet(LogicBase):
    """Never gets a message here."""

    logic_type = LogicType.WORKER

    def run_logic(self, message: object) -> None: ...


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    """The default leases, in half the time."""
    halved = {"worker_lease": DEFAULTS.worker_lease / 2, "node_lease": DEFAULTS.node_lease / 2}
    return Settings(redis_url=redis_url, prefix=prefix, threads=4, **halved)


async def test_w15_an_idle_worker_process_makes_less_than_one_request_a_second(
    cluster: Cluster, redis_url: str
) -> None:
    await cluster.worker(Quiet())
    with redis.Redis.from_url(redis_url) as client:

        def requests() -> int:
            stats = client.info("commandstats")
            return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval", "blpop"))

        await eventually(lambda: "blpop" in str(client.client_list()))
        before, began = requests(), time.monotonic()
        await eventually(lambda: requests() >= before + 6, within=20)
        took = time.monotonic() - began
    assert 5 / took < 1 * 2, "at half the time twice as many"
